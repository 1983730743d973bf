"""Linear maps that hold their links alone compute what masked matrices compute."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from chtexp.sparse.cpu.csr import CsrLinear, CsrSequential, arrange_sequentials, execute_dense, execute_links
from chtexp.sparse.links import Compressed, Links

from .small_networks import normal, perceptron, sparse_method, training


def sparse_copy(model: nn.Module, density: float = 0.3, seed: int = 0) -> nn.Module:
    """Mask every linear map of `model` but the last, and return a copy that executes the links alone."""
    copied = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for linear, twin in zip(linears(model)[:-1], linears(copied)[:-1], strict=True):
        mask = torch.rand(linear.weight.shape, generator=generator) < density
        linear.weight.data *= mask
        links = Links.of_mask(mask)
        execute_links(twin, links, links.take(linear.weight.data))
    arrange_sequentials(copied)
    return copied


def gradients(model: nn.Module, inputs: Tensor, to_input: bool) -> list[Tensor]:
    """Output, and gradients of the input (if asked) and of all parameters, those of links in matrix form."""
    before, inputs = inputs, inputs.clone().requires_grad_(to_input)
    output = model(inputs)
    (output * normal(*output.shape, seed=9).to(output.dtype)).sum().backward()
    assert torch.equal(inputs.detach(), before), "the input was written to"
    found = [output.detach(), *([inputs.grad] if to_input else [])]
    for linear in linears(model):
        gradient = linear.weight.grad
        if isinstance(linear, CsrLinear):
            gradient = torch.zeros(linear.out_features, linear.in_features, dtype=gradient.dtype)
            linear.compressed.links.put(gradient, linear.weight.grad)
        found += [gradient] + ([linear.bias.grad] if linear.bias is not None else [])
    return found


def linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def assert_equal(
    model: nn.Module, twin: nn.Module, inputs: Tensor, tolerance: float = 2e-5, to_input: bool = True
) -> None:
    """Output and gradients agree; the gradient of absent links, which only the model has, is masked."""
    for linear, other in zip(linears(model), linears(twin), strict=True):
        if isinstance(other, CsrLinear):
            mask = other.compressed.links.mask()
            linear.weight.register_hook(lambda gradient, mask=mask: gradient * mask)
    for one, other in zip(gradients(model, inputs, to_input), gradients(twin, inputs, to_input), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=tolerance), (one - other).abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 7, 32, 33, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_chain_computes_what_masked_matrices_compute(dtype: torch.dtype, batch: int, threads: int) -> None:
    torch.set_num_threads(threads)
    model = perceptron(20, 300, 200, 100, 5).to(dtype)
    twin = sparse_copy(model)
    assert isinstance(twin, CsrSequential)
    assert_equal(model, twin, normal(batch, 20).to(dtype), 1e-5 if dtype == torch.float32 else 1e-13)
    torch.set_num_threads(1)


@given(
    widths=st.lists(st.integers(1, 40), min_size=3, max_size=5),
    batch=st.integers(1, 70),
    bias=st.booleans(),
    to_input=st.booleans(),
    density=st.sampled_from([0.02, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_any_shape_and_density(
    widths: list[int], batch: int, bias: bool, to_input: bool, density: float, seed: int
) -> None:
    model = perceptron(*widths, seed=seed)
    for linear in linears(model) if not bias else ():
        linear.bias = None
    assert_equal(model, sparse_copy(model, density, seed), normal(batch, widths[0], seed=seed), to_input=to_input)


class Block(nn.Module):
    """Sparse maps outside a Sequential, on inputs with three dimensions, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.head = nn.Linear(8, 24, bias=False), nn.Linear(24, 8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        for _ in range(2):
            inputs = inputs + self.down(nn.functional.gelu(self.up(inputs)))
        return self.head(inputs.transpose(0, 1))


def test_any_model() -> None:
    model = Block()
    assert_equal(model, sparse_copy(model), normal(4, 5, 8))


@pytest.mark.parametrize(
    "modules",
    [
        lambda: [nn.Linear(6, 9), nn.Dropout(0.0), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 4)],
        lambda: [nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9, bias=False), nn.ReLU(), nn.ReLU(), nn.Linear(9, 4), nn.ReLU()],
        lambda: [nn.Flatten(), nn.Linear(6, 9), nn.Sequential(nn.Linear(9, 9), nn.ReLU()), nn.Linear(9, 4)],
        lambda: [nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 9), nn.Linear(9, 4)],
    ],
)  # fmt: skip
def test_any_sequential(modules: Callable[[], list[nn.Module]]) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(*modules())
    assert_equal(model, sparse_copy(model), normal(5, 6))


def test_hooks_are_called() -> None:
    model = sparse_copy(perceptron(6, 9, 9, 4))
    seen: list[tuple[int, ...]] = []
    model[2].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    model(normal(5, 6)).sum().backward()
    assert seen == [(5, 9)]


@pytest.mark.parametrize("batch", [3, 32, 40])
def test_not_a_number_is_not_hidden(batch: int) -> None:
    model = sparse_copy(perceptron(6, 9, 9, 4), density=1.0)
    inputs = normal(batch, 6)
    inputs[1, 2] = torch.nan
    output = model(inputs)
    assert output.isnan().any(1).tolist() == [example == 1 for example in range(batch)]
    output.sum().backward()
    assert model[0].weight.grad.isnan().any()


def test_copies_have_weights_of_their_own() -> None:
    inputs = normal(5, 6)
    for copied in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        for _ in range(20):  # the memory of one may become the memory of the next
            model = sparse_copy(perceptron(6, 9, 9, 4))
            model(inputs)
            twin = copied(model)
            assert torch.equal(twin(inputs), model(inputs))
            del model
            twin[0].weight.data = torch.zeros_like(twin[0].weight)
            twin[0].bias.data = torch.zeros_like(twin[0].bias)
            assert not nn.functional.relu(twin[0](inputs)).any()


def test_parts_of_a_sequential_work() -> None:
    model = perceptron(6, 9, 9, 4)
    twin = sparse_copy(model)
    assert torch.allclose(twin[:2](normal(5, 6)), model[:2](normal(5, 6)), atol=1e-6)
    for _ in range(20):
        twin[4] = nn.Linear(9, 4)
        twin(normal(5, 6))
    assert len(twin.chains) <= 8


def test_outputs_can_be_changed_in_place() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = self.first(inputs)
            hidden += inputs
            return self.second(nn.functional.relu_(hidden))

    model = InPlace()
    assert_equal(model, sparse_copy(model), normal(5, 6))


def test_wrong_inputs_are_refused_as_by_a_linear_map() -> None:
    model = sparse_copy(perceptron(8, 5, 5, 2))
    with pytest.raises(RuntimeError, match="cannot multiply inputs of shape"):
        model[0](normal(6, 4))
    with pytest.raises(RuntimeError, match="one dtype"):
        model(normal(6, 8).double())
    assert model(normal(8)).shape == (2,)
    assert model(normal(0, 8)).shape == (0, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(normal(6, 8)).dtype == torch.bfloat16


def test_a_head_of_another_type_is_left_to_torch() -> None:
    class Widen(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.double()

    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), Widen(), nn.Linear(9, 4).double())
    assert_equal(model, sparse_copy(model), normal(5, 6))


def test_a_layer_becomes_ordinary_again() -> None:
    model = perceptron(6, 9, 9, 4)
    twin = sparse_copy(model)
    for linear, original in zip(twin, model, strict=True):
        if isinstance(linear, CsrLinear):
            execute_dense(linear, original.weight.data.clone())
    arrange_sequentials(twin)
    assert [type(module) for module in twin.modules()] == [type(module) for module in model.modules()]
    assert_equal(model, twin, normal(5, 6))


def test_compressed_links_by_hand() -> None:
    links = Links.of_mask(torch.tensor([[True, False, True], [False, False, True]]))
    lists = Compressed.of(links)
    assert links.positions_K.tolist() == [0, 2, 5]
    assert (lists.row_starts.tolist(), lists.columns_K.tolist()) == ([0, 2, 3], [0, 2, 2])
    assert (lists.column_starts.tolist(), lists.rows_K.tolist(), lists.order_K.tolist()) == (
        [0, 1, 1, 3],
        [0, 0, 1],
        [0, 1, 2],
    )
    place, there = links.find(Links(torch.tensor([0, 1, 5]), (2, 3)))
    assert there.tolist() == [True, False, True]
    assert place[there].tolist() == [0, 2]


# ---------------------------------------------------------------------- whole trainings


def test_no_full_matrix_is_allocated_in_a_step() -> None:
    run = training(sparse_method("set", sparsity=0.99), "adam", widths=(400, 500, 500, 4), execution="csr").run(2)
    with torch.profiler.profile(profile_memory=True) as profile:
        run.backward()
        run.sparsity.apply_gradients()
    largest = max(abs(event.self_cpu_memory_usage) for event in profile.events())
    assert 0 < largest < 400 * 500  # bytes: a quarter of the smaller matrix
    held = [tensor for state in run.optimizer.state.values() for tensor in state.values()]
    held += [*run.model.parameters()] + [p.grad for p in run.model.parameters()]
    assert max(tensor.numel() for tensor in held) == 2500
