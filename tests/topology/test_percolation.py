"""Percolation against an oracle that removes one link at a time, neuron by neuron."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology import Junction, anp, neuron_record, percolate

# How layers meet, as (rows, columns): written out apart from the chains that `percolate` gets.
Meetings = list[tuple[tuple[object, ...], tuple[object, ...]]]


def oracle(masks: dict, meetings: Meetings) -> dict:
    links = {(key, o, i) for key, mask in masks.items() for o, i in mask.nonzero().tolist()}
    while True:
        doomed = set()
        for rows, columns in meetings:
            neurons = masks[rows[0]].shape[0]
            for p in range(neurons):
                fed = all(any(key == row and o == p for key, o, _ in links) for row in rows)
                feeds = not columns or any(key in columns and i == p for key, _, i in links)
                if not (fed and feeds):
                    doomed |= {
                        (key, o, i) for key, o, i in links if (key in rows and o == p) or (key in columns and i == p)
                    }
        if not doomed:
            break
        links -= doomed
    result = {key: torch.zeros_like(mask) for key, mask in masks.items()}
    for key, o, i in links:
        result[key][o, i] = True
    return result


def random_masks(shapes: dict, density: float, seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.rand(shape, generator=generator) < density for key, shape in shapes.items()}


NETWORKS = {
    "chain of four": (
        {"a": (5, 4), "b": (6, 5), "c": (4, 6), "d": (3, 4)},
        [["a", "b", "c", "d"]],
        [(("a",), ("b",)), (("b",), ("c",)), (("c",), ("d",))],
    ),
    "attention": (
        {"q": (5, 4), "k": (5, 4), "v": (6, 4), "out": (4, 6)},
        [Junction(("q", "k"), ()), Junction(("v",), ("out",))],
        [(("q", "k"), ()), (("v",), ("out",))],
    ),
    "gated feed-forward after a chain": (
        {"a": (5, 4), "b": (4, 5), "gate": (7, 4), "up": (7, 4), "down": (4, 7)},
        [["a", "b"], Junction(("gate", "up"), ("down",))],
        [(("a",), ("b",)), (("gate", "up"), ("down",))],
    ),
    "hidden layers that take several sweeps": (
        {"x": (4, 3), "a": (5, 4), "gate": (6, 5), "up": (6, 5), "down": (4, 6)},
        [["x", "a"], Junction(("a",), ("gate", "up")), Junction(("gate", "up"), ("down",))],
        [(("x",), ("a",)), (("a",), ("gate", "up")), (("gate", "up"), ("down",))],
    ),
    "one neuron set feeding two layers": (
        {"a": (5, 4), "left": (3, 5), "right": (2, 5), "last": (3, 3)},
        [Junction(("a",), ("left", "right")), ["left", "last"]],
        [(("a",), ("left", "right")), (("left",), ("last",))],
    ),
}


@pytest.mark.parametrize("network", NETWORKS)
@given(density=st.sampled_from([0.05, 0.15, 0.25, 0.4, 1.0]), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_percolation_equals_the_oracle_and_is_idempotent(network: str, density: float, seed: int) -> None:
    shapes, chains, meetings = NETWORKS[network]
    masks = random_masks(shapes, density, seed)
    before = {key: mask.clone() for key, mask in masks.items()}
    after = percolate(masks, chains)
    expected = oracle(masks, meetings)
    assert list(after) == list(masks)
    for key in masks:
        assert torch.equal(masks[key], before[key]), "the input was modified"
        assert torch.equal(after[key], expected[key])
        assert not (after[key] & ~masks[key]).any(), "a link was added"
    again = percolate(after, chains)
    assert all(torch.equal(again[key], after[key]) for key in masks)


def test_a_cascade_runs_through_the_whole_chain_in_both_directions() -> None:
    def single(row: int, column: int) -> Tensor:
        mask = torch.zeros(2, 2, dtype=torch.bool)
        mask[row, column] = True
        return mask

    unbroken = [single(0, 0), single(1, 0), single(0, 1), single(1, 0)]
    assert all(a.equal(b) for a, b in zip(percolate(unbroken, [range(4)]), unbroken, strict=True))
    for broken in range(4):
        masks = [mask.clone() for mask in unbroken]
        masks[broken].zero_()
        assert not any(mask.any() for mask in percolate(masks, [range(4)]))


def test_queries_and_keys_are_active_only_together() -> None:
    q = torch.tensor([[True, True], [True, False], [False, False]])
    k = torch.tensor([[False, True], [False, False], [True, True]])
    after = percolate({"q": q, "k": k}, [Junction(("q", "k"), ())])
    assert after["q"].tolist() == [[True, True], [False, False], [False, False]]
    assert after["k"].tolist() == [[False, True], [False, False], [False, False]]


def test_first_inputs_and_last_outputs_may_be_silent() -> None:
    masks = [torch.tensor([[True, False]]), torch.tensor([[True], [False]])]
    assert all(a.equal(b) for a, b in zip(percolate(masks, [[0, 1]]), masks, strict=True))


def test_masks_come_back_in_the_container_they_came_in() -> None:
    mask = torch.ones(2, 2, dtype=torch.bool)
    assert isinstance(percolate([mask, mask], [[0, 1]]), list)
    assert isinstance(percolate((mask, mask), [[0, 1]]), tuple)
    assert isinstance(percolate({"a": mask}, []), dict)


def test_bad_values_are_named() -> None:
    masks = {"first": torch.ones(3, 2, dtype=torch.bool), "second": torch.ones(2, 4, dtype=torch.bool)}
    with pytest.raises(UserError, match="outputs of first = 3, inputs of second = 4"):
        percolate(masks, [["first", "second"]])
    with pytest.raises(UserError, match="outputs of first = 3, outputs of second = 2"):
        percolate(masks, [Junction(("first", "second"), ())])
    with pytest.raises(UserError, match=r"'secnd'.*did you mean 'second'"):
        percolate(masks, [["first", "secnd"]])
    with pytest.raises(UserError, match="unknown layer"):
        percolate(masks, [Junction(("third",), ())])
    with pytest.raises(UserError, match="unknown layer"):
        percolate(masks, [["third"]])
    with pytest.raises(UserError, match="no rows"):
        percolate(masks, [Junction((), ("first",))])
    with pytest.raises(UserError, match="the text 'first'"):
        percolate(masks, ["first"])
    with pytest.raises(UserError, match="mask first must be bool"):
        percolate({"first": torch.ones(3, 2)}, [])


def test_anp_by_hand() -> None:
    # Inputs of the first layer: 2 of 3 linked; inputs of the second: 1 of 2; outputs of the second: 1 of 4.
    # The first layer's row 1 has a link, but hidden neurons count as inputs: (2 + 1 + 1) / (3 + 2 + 4).
    first = torch.tensor([[True, False, False], [False, True, False]])
    second = torch.tensor([[True, False], [False, False], [False, False], [False, False]])
    assert anp([first, second]) == pytest.approx(4 / 9)
    assert anp({"first": first, "second": second}) == anp([first, second])
    assert anp([first]) == pytest.approx((2 + 2) / (3 + 2))
    assert anp([torch.ones(2, 5, dtype=torch.bool)]) == 1.0
    assert anp([torch.zeros(2, 5, dtype=torch.bool)]) == 0.0
    with pytest.raises(UserError, match="at least one mask"):
        anp([])


def test_neurons_are_counted_by_columns_and_rows() -> None:
    mask_OI = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=torch.bool)
    assert neuron_record(mask_OI) == {
        "active_inputs": 0.6,  # degrees 2, 1, 1, 0, 0
        "input_degrees": [0, 0, 1, 1, 2],
        "active_outputs": 1.0,
        "output_degrees": [1, 1, 1, 3, 3],  # of two neurons, one stands at every quartile
    }
    none = neuron_record(torch.zeros(2, 4, dtype=torch.bool))
    assert none["active_inputs"] == none["active_outputs"] == 0.0
    assert none["input_degrees"] == [0] * 5
