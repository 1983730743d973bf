"""An update works on lists of links: it makes only the masks that a rule reads, and no list says another thing than a mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chtexp.sparse import bits
from chtexp.sparse.links import Compressed, Links
from chtexp.topology import anp, neuron_record, uniform_links
from chtexp.topology.neighbours import degrees, degrees_of
from chtexp.topology.percolation import active_rate
from chtexp.topology.selection import uniform_pairs

from .full_masks import FullMasks
from .small_networks import sparse_method, training

WIDTHS = (160, 130, 128, 4)  # layers of more pairs than compiled scans begin with
PAIRS = (160 * 130, 130 * 128)
# of a layer and update: what regrowth scores, and which free pairs score above zero; in dense execution also the mask to be
MASKS = {"set": 0, "rigl": 2, "granet": 2, "chts_n": 2, "chts_p": 2, "cht": 2, "chtss_n": 2}


@pytest.mark.parametrize(("execution", "installed"), [("csr", 0), ("dense", 1)])
@pytest.mark.parametrize("method", MASKS)
def test_an_update_makes_only_the_masks_that_its_rules_read(method: str, execution: str, installed: int) -> None:
    run = training(sparse_method(method), total=120, interval=4, widths=WIDTHS, execution=execution).run(39)
    run.backward()
    run.sparsity.apply_gradients()
    with FullMasks(PAIRS) as masks:
        record = run.sparsity.update_topology()
    assert record is not None
    assert record.overlap is not None  # links came
    assert masks.made == dict.fromkeys(PAIRS, MASKS[method] + installed)


def test_a_full_mask_is_seen_however_it_is_made() -> None:
    mask = torch.zeros(3, 4, dtype=torch.bool)
    with FullMasks([12]) as masks:
        mask.view(-1)[2] = True
        mask.T.logical_not_()
    assert masks.made == {12: 0}
    with FullMasks([12]) as masks:
        _ = ~mask, mask & mask, mask.clone(), torch.ones(12) > 0, torch.zeros(2, 6, dtype=torch.bool)
    assert masks.made == {12: 5}


@st.composite
def layers(draw: st.DrawFn) -> Tensor:
    outputs, inputs = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    return torch.rand(outputs, inputs, generator=generator) < draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))


def by_hand(mask: Tensor) -> tuple[list[int], list[int]]:
    """The degrees of both sides, counted pair by pair."""
    outputs, inputs = [0] * mask.shape[0], [0] * mask.shape[1]
    for output, row in enumerate(mask.tolist()):
        for column, linked in enumerate(row):
            outputs[output] += linked
            inputs[column] += linked
    return outputs, inputs


@given(mask=layers())
@settings(max_examples=150, deadline=None)
def test_degrees_of_links_are_those_of_the_mask(mask: Tensor) -> None:
    links = Links.of_mask(mask)
    found = (degrees_of(links.positions_K, links.shape), Compressed.of(links).degrees, degrees(mask))
    for outputs, inputs in found:
        assert (outputs.tolist(), inputs.tolist()) == by_hand(mask)
        assert outputs.dtype == inputs.dtype == torch.int64
    assert neuron_record(found[0]) == neuron_record(mask)


@given(masks=st.lists(layers(), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_the_active_rate_by_degrees_is_that_of_the_masks(masks: list[Tensor]) -> None:
    sides = [by_hand(mask)[1] for mask in masks] + [by_hand(masks[-1])[0]]
    expected = sum(degree > 0 for side in sides for degree in side) / sum(map(len, sides))
    lists = [Compressed.of(Links.of_mask(mask)).degrees for mask in masks]
    assert active_rate(lists) == anp(masks) == expected


@given(mask=layers(), seed=st.integers(0, 99), share=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_pairs_drawn_without_a_mask_are_those_drawn_with_one(mask: Tensor, seed: int, share: float) -> None:
    links, k = Links.of_mask(mask), int(share * int((~mask).sum()))
    one, other = (torch.Generator().manual_seed(seed) for _ in range(2))
    drawn = uniform_pairs(links.positions_K, mask.numel(), k, generator=one)
    expected = Links.of_mask(uniform_links(~mask, k, generator=other))
    assert drawn.tolist() == expected.positions_K.tolist()
    assert torch.equal(one.get_state(), other.get_state())


def test_many_pairs_drawn_without_a_mask_are_those_drawn_with_one() -> None:
    mask = torch.rand(300, 200, generator=torch.Generator().manual_seed(0)) < 0.1
    links = Links.of_mask(mask)
    drawn = uniform_pairs(links.positions_K, mask.numel(), 900, generator=torch.Generator().manual_seed(1))
    expected = Links.of_mask(uniform_links(~mask, 900, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(drawn, expected.positions_K)


@given(mask=layers(), seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_lists_of_links_say_what_masks_say(mask: Tensor, seed: int) -> None:
    other = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.3
    links, others = Links.of_mask(mask), Links.of_mask(other)
    assert torch.equal(links.bits(), bits.pack(mask))
    assert torch.equal(links.joined(Links.of_mask(other & ~mask)).mask(), mask | other)
    place, there = links.find(others)
    assert there.tolist() == mask[other].tolist()
    assert torch.equal(links.positions_K[place[there]], others.positions_K[there])
