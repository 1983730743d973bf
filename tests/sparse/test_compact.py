"""A network without its inactive neurons computes what it computed with them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity, compact

from .small_networks import normal, perceptron, sparse_method, training


def widths(model: nn.Module) -> list[int]:
    return [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)]


def sparse(model: nn.Module, execution: str = "dense") -> DynamicSparsity:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return DynamicSparsity(model, optimizer, sparse_method("set", sparsity=0.5), total_steps=9, update_interval=3, seed=0,
                           execution=execution)  # fmt: skip


def test_by_hand() -> None:
    """Of three hidden neurons the first is not fed, the third not read; what the first says goes into the biases above."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    sparsity = sparse(model)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, -2.0], [3.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([2.0, 0.5, 1.0]))
        model[2].weight.copy_(torch.tensor([[10.0, 1.0, 0.0], [-1.0, 4.0, 0.0]]))
        model[2].bias.zero_()
    small = compact(sparsity)
    assert widths(small) == [1, 2]
    assert small[0].weight.tolist() == [[1.0, -2.0]]
    assert small[2].weight.tolist() == [[1.0], [4.0]]
    assert small[2].bias.tolist() == [20.0, -2.0]
    assert torch.equal(small(normal(5, 2)), model(normal(5, 2)))
    assert widths(model) == [3, 2], "the model itself stays"


@pytest.mark.parametrize("execution", ["dense", "csr"])
@pytest.mark.parametrize("method", ["chts_n", "set"])
def test_a_trained_network_becomes_smaller_and_says_the_same(method: str, execution: str) -> None:
    run = training(sparse_method(method, sparsity=0.97), execution=execution).run(20)
    inputs = normal(50, 24)
    small = run.sparsity.compact()
    assert torch.allclose(small(inputs), run.model(inputs), atol=1e-5)
    assert sum(widths(small)) < sum(widths(run.model))
    assert not [module for module in small.modules() if type(module) not in (nn.Linear, nn.ReLU, nn.Sequential)]
    run.run(3)  # the training goes on


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), density=st.sampled_from([0.02, 0.1, 0.4]), bias=st.booleans(),
    activation=st.sampled_from([nn.ReLU, nn.Sigmoid, nn.GELU, nn.Identity]),
)  # fmt: skip
def test_outputs_are_equal_whatever_the_links(
    seed: int, density: float, bias: bool, activation: type[nn.Module]
) -> None:
    torch.manual_seed(seed)
    shape = [7, 9, 8, 6, 3]
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(shape):
        modules += [nn.Linear(inputs, outputs, bias=bias), activation(), nn.Dropout(0.3)]
    model = nn.Sequential(*modules[:-2]).eval()
    sparsity = sparse(model)
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Linear):
                module.weight.mul_(torch.rand_like(module.weight) < density)
    inputs = torch.randn(20, 7)
    assert torch.allclose(compact(sparsity)(inputs), model(inputs), atol=1e-5)


def test_what_cannot_be_cut_stays_and_what_shows_no_chain_is_refused() -> None:
    normed = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    small = compact(sparse(normed))
    assert small[0].out_features == 8
    assert torch.allclose(small(normal(5, 6)), normed(normal(5, 6)), atol=1e-5)

    used_twice = nn.Linear(8, 8)
    tied = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), used_twice, nn.ReLU(), used_twice, nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(UserError, match="nothing can be cut out"):
        compact(sparse(tied))

    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 2)

    with pytest.raises(UserError, match="Other shows no linear maps or convolutions that feed"):
        compact(sparse(Other()))
    assert widths(perceptron(3, 4, 2)) == [4, 2]
