"""Exact counts, exact probabilities, ties without a preference for low indices."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology import gumbel_top_k, sample_links, uniform_links


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inclusion_probabilities(weights: list[float], k: int) -> Tensor:
    """Plackett-Luce: the probability that each item is among the first k drawn, summed over all orders."""
    included = torch.zeros(len(weights), dtype=torch.float64)
    for order in permutations(range(len(weights)), k):
        left, probability = sum(weights), 1.0
        for item in order:
            probability *= weights[item] / left
            left -= weights[item]
        included[list(order)] += probability
    return included


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    soft=st.booleans(),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_exactly_k_free_pairs_positive_ones_first(
    rows: int, columns: int, soft: bool, seed: int, data: st.DataObject
) -> None:
    generator = seeded(seed)
    scores = torch.randint(0, 4, (rows, columns), generator=generator).float()
    free = torch.rand(rows, columns, generator=generator) < 0.6
    k = data.draw(st.integers(0, int(free.sum())))
    chosen = sample_links(scores, k, soft=soft, generator=generator, free_OI=free)
    assert chosen.dtype == torch.bool
    assert chosen.shape == scores.shape
    assert chosen.sum() == k
    assert not (chosen & ~free).any()
    positive = free & (scores > 0)
    assert (chosen & positive).sum() == min(k, int(positive.sum()))
    if not soft and 0 < k < int(positive.sum()):
        assert scores[chosen].min() >= scores[positive & ~chosen].max()


def test_soft_draws_follow_plackett_luce() -> None:
    weights, k, draws = [8.0, 4.0, 2.0, 1.0, 0.5, 0.5], 3, 6000
    generator = seeded(0)
    scores = torch.tensor(weights).view(2, 3)
    counts = sum(sample_links(scores, k, soft=True, generator=generator).long() for _ in range(draws))
    frequencies = torch.as_tensor(counts).flatten() / draws
    expected = inclusion_probabilities(weights, k)
    standard_error = (expected * (1 - expected) / draws).sqrt()
    assert ((frequencies - expected).abs() < 4 * standard_error).all()


def test_gumbel_draws_come_in_plackett_luce_order() -> None:
    weights, draws = torch.tensor([5.0, 3.0, 2.0]), 6000
    generator = seeded(1)
    orders = [tuple(gumbel_top_k(weights.log(), 2, generator=generator).tolist()) for _ in range(draws)]
    for first, second in permutations(range(3), 2):
        exact = (weights[first] / 10 * weights[second] / (10 - weights[first])).item()
        error = (exact * (1 - exact) / draws) ** 0.5
        assert abs(orders.count((first, second)) / draws - exact) < 4 * error


def test_weights_far_beyond_floating_point_are_safe_in_the_log_domain() -> None:
    log_weights = torch.tensor([-1e5, 1e5, -torch.inf, 0.0])
    for seed in range(20):
        assert gumbel_top_k(log_weights, 3, generator=seeded(seed)).tolist() == [1, 3, 0]


def test_weight_zero_is_drawn_only_when_needed_and_then_uniformly() -> None:
    log_weights = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    counts = torch.zeros(5)
    for seed in range(1500):
        drawn = gumbel_top_k(log_weights, 3, generator=seeded(seed))
        assert set(drawn[:2].tolist()) == {1, 3}
        counts[drawn] += 1
    assert counts.sum() == 3 * 1500
    assert (counts[[0, 2, 4]] - 500).abs().max() < 4 * (1500 * 2 / 9) ** 0.5


@pytest.mark.parametrize("scores", [torch.ones(4, 5), torch.zeros(4, 5)], ids=["tied", "without any score"])
@pytest.mark.parametrize("soft", [False, True])
def test_equal_scores_are_chosen_without_regard_to_their_index(scores: Tensor, soft: bool) -> None:
    generator = seeded(2)
    draws = 2000
    counts = sum(sample_links(scores, 5, soft=soft, generator=generator).long() for _ in range(draws))
    assert (torch.as_tensor(counts) - draws / 4).abs().max() < 4.5 * (draws * 3 / 16) ** 0.5


def test_hard_selection_keeps_what_is_above_the_cut_and_shuffles_only_the_tie() -> None:
    scores = torch.tensor([[3.0, 1.0, 1.0], [1.0, 2.0, 0.0]])
    tied = torch.zeros(2, 3)
    for seed in range(300):
        chosen = sample_links(scores, 3, soft=False, generator=seeded(seed))
        assert chosen[0, 0]
        assert chosen[1, 1]
        tied += chosen
    assert tied[0, 1] > 50
    assert tied[0, 2] > 50
    assert tied[1, 0] > 50
    assert tied[1, 2] == 0


def test_more_than_2_to_the_24_candidates() -> None:
    scores = torch.ones(4200, 4000)
    assert scores.numel() > 2**24
    scores[-1, -10:] = 1e12
    chosen = sample_links(scores, 100, soft=True, generator=seeded(3))
    assert chosen.sum() == 100
    assert chosen[-1, -10:].all()


def test_uniform_links_are_uniform_over_the_free_pairs() -> None:
    free = torch.tensor([[True, False, True], [True, True, False]])
    generator = seeded(4)
    counts = sum(uniform_links(free, 1, generator=generator).long() for _ in range(2000))
    counts = torch.as_tensor(counts)
    assert not counts[~free].any()
    assert (counts[free] - 500).abs().max() < 4 * (2000 * 3 / 16) ** 0.5


@pytest.mark.parametrize("soft", [False, True])
def test_the_same_seed_draws_the_same_links(soft: bool) -> None:
    scores = torch.rand(20, 30, generator=seeded(5)).round(decimals=1)
    first, again, other = (sample_links(scores, 200, soft=soft, generator=seeded(s)) for s in (6, 6, 7))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("soft", [False, True])
def test_bad_values_are_named(soft: bool) -> None:
    scores = torch.ones(2, 3)

    def draw(scores: Tensor, k: int, free: Tensor | None = None) -> None:
        sample_links(scores, k, soft=soft, generator=seeded(0), free_OI=free)

    with pytest.raises(UserError, match="k = 7 of 6 free pairs; allowed: 0 to 6"):
        draw(scores, 7)
    with pytest.raises(UserError, match="k = 1 of 0 free pairs"):
        draw(scores, 1, torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(UserError, match="k = -1"):
        draw(scores, -1)
    for bad in (-1.0, torch.nan, torch.inf):
        with pytest.raises(UserError, match="negative, NaN or infinite"):
            draw(scores.index_fill(0, torch.tensor([0]), bad), 1)
    with pytest.raises(UserError, match="free_OI must be bool"):
        draw(scores, 1, torch.ones(2, 3))
    with pytest.raises(UserError, match="two-dimensional"):
        draw(scores[0], 1)


def test_bad_log_weights_are_named() -> None:
    for bad in (torch.nan, torch.inf):
        with pytest.raises(UserError, match="NaN or \\+inf"):
            gumbel_top_k(torch.tensor([0.0, bad]), 1, generator=seeded(0))
    with pytest.raises(UserError, match="k = 3 of 2 candidates"):
        gumbel_top_k(torch.zeros(2), 3, generator=seeded(0))
    with pytest.raises(UserError, match="one-dimensional"):
        gumbel_top_k(torch.zeros(2, 2), 1, generator=seeded(0))


def test_without_its_order_a_draw_is_the_same_set() -> None:
    weights = torch.randn(500, generator=torch.Generator().manual_seed(0)).double()
    for k in (0, 1, 400, 500):
        drawn, bare = (
            gumbel_top_k(weights, k, generator=torch.Generator().manual_seed(1), ordered=ordered)
            for ordered in (True, False)
        )
        assert sorted(drawn.tolist()) == sorted(bare.tolist())
