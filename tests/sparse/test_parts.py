"""The small parts: how density is shared out, masks as bits, which layers are sparse and which feed which."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chtexp.config.distribution import layer_densities
from chtexp.errors import UserError
from chtexp.sparse.bits import count, pack, unpack
from chtexp.sparse.wiring import plain_chains, sparse_layers

from .small_networks import perceptron


def test_uniform_density_is_the_same_everywhere() -> None:
    assert layer_densities([(3, 5), (100, 2)], 0.2, "uniform") == [0.2, 0.2]


def test_erk_shares_links_by_outputs_plus_inputs() -> None:
    # links 0.1 * 1200 = 120, wanted in the ratio 40 : 66
    assert layer_densities([(20, 20), (50, 16)], 0.1, "erk") == pytest.approx(
        [120 * 40 / 106 / 400, 120 * 66 / 106 / 800]
    )


def test_erk_leaves_layers_that_would_overflow_full() -> None:
    # links 0.5 * 1004 = 502; shared 4 : 110 the first would get 17.6 of its 4 pairs
    assert layer_densities([(2, 2), (100, 10)], 0.5, "erk") == pytest.approx([1.0, 0.498])
    assert layer_densities([(2, 2), (100, 10)], 1.0, "erk") == [1.0, 1.0]


@given(
    shapes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=6),
    density=st.floats(0.01, 0.99),
    distribution=st.sampled_from(["uniform", "erk"]),
)
@settings(max_examples=100, deadline=None)
def test_shares_add_up_to_the_overall_budget(shapes: list[tuple[int, int]], density: float, distribution: str) -> None:
    densities = layer_densities(shapes, density, distribution)
    pairs = [outputs * inputs for outputs, inputs in shapes]
    assert all(0 < d <= 1 for d in densities)
    assert sum(d * n for d, n in zip(densities, pairs, strict=True)) == pytest.approx(density * sum(pairs))


def test_an_unknown_distribution_is_an_error() -> None:
    with pytest.raises(UserError, match="did you mean 'erk'"):
        layer_densities([(2, 2)], 0.5, "erkk")


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_bits_bring_the_mask_back(rows: int, columns: int, seed: int) -> None:
    mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.5
    bits = pack(mask)
    assert bits.dtype == torch.uint8
    assert bits.numel() == (rows * columns + 7) // 8
    assert torch.equal(unpack(bits, (rows, columns)), mask)
    assert count(bits) == int(mask.sum())


def test_bits_are_in_order_and_must_fit() -> None:
    mask = torch.tensor([[True, False, False], [False, False, False], [False, True, True]])
    assert pack(mask).tolist() == [0b10000001, 0b10000000]
    with pytest.raises(ValueError, match="2 bytes cannot hold"):
        unpack(pack(mask), (2, 4))


def test_every_linear_map_but_the_last_is_sparse() -> None:
    model = perceptron(3, 4, 5, 2)
    assert list(sparse_layers(model, None)) == ["0", "2"]
    assert list(sparse_layers(model, ["4", "0"])) == ["4", "0"]
    with pytest.raises(UserError, match=r"layer '1' is a ReLU; nn\.Linear, nn\.Conv1d, nn\.Conv2d and"):
        sparse_layers(model, ["1"])
    with pytest.raises(UserError, match="named twice"):
        sparse_layers(model, ["0", "0"])
    with pytest.raises(UserError, match="nothing is left"):
        sparse_layers(nn.Linear(2, 2), None)


def test_chains_are_read_off_sequentials_through_modules_that_keep_neurons() -> None:
    assert plain_chains(perceptron(3, 4, 5, 2), ["0", "2"]) == [["0", "2"]]
    kept = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), nn.Dropout(), nn.Linear(4, 2))
    assert plain_chains(kept, ["0", "4"]) == [["0", "4"]]
    nested = nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Sequential(nn.Linear(4, 5)), nn.Linear(5, 2))
    assert plain_chains(nested, ["0.0", "1.0"]) == [["0.0", "1.0"]]
    for between in (nn.Flatten(), nn.Softmax(1), nn.Linear(4, 4), nn.Sequential(nn.Softmax(1))):
        assert plain_chains(nn.Sequential(nn.Linear(3, 4), between, nn.Linear(4, 2)), ["0", "2"]) == []
    inner = nn.ModuleDict({"one": perceptron(2, 3, 4), "two": perceptron(4, 5, 6, 7)})
    chains = [["one.0", "one.2"], ["two.0", "two.2", "two.4"]]
    assert plain_chains(inner, [name for chain in chains for name in chain]) == chains
