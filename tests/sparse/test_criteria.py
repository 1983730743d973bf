"""The seven removal rules on small weights, with scores worked out by hand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch

from chtexp.errors import UserError
from chtexp.sparse.criteria import CRITERIA, link_scores
from chtexp.sparse.links import Links
from chtexp.sparse.update import keep_highest, keep_highest_overall
from chtexp.sparse.update import regrow as regrow_links
from chtexp.sparse.update import remove as remove_from_links

WEIGHT = torch.tensor([[1.0, -3.0, 0.0], [2.0, 0.0, -4.0]])
GRADIENT = torch.tensor([[-2.0, 1.0, 5.0], [0.5, 7.0, -8.0]])
LINKS = WEIGHT != 0


def remove(mask: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor | None, **how: Any) -> torch.Tensor:
    """`update.remove` from mask to mask."""
    links = Links.of_mask(mask)
    return links.only(remove_from_links(links, links.take(weight), gradient, **how)).mask()


def regrow(mask: torch.Tensor, gradient: torch.Tensor | None, **how: Any) -> torch.Tensor:
    """`update.regrow` from mask to mask."""
    return regrow_links(Links.of_mask(mask), gradient, **how).mask()


def scores_of(rule: str, weight: torch.Tensor, gradient: torch.Tensor | None, mask: torch.Tensor) -> torch.Tensor:
    links = Links.of_mask(mask)
    return link_scores(rule, links.take(weight), gradient, links)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        ("wm", [1, 3, 2, 4]),
        ("ri", [1 / 4 + 1 / 3, 3 / 4 + 3 / 3, 2 / 6 + 2 / 3, 4 / 6 + 4 / 4]),
        ("set", [1 / 2, 1 / 2, 2 / 2, 2 / 2]),
        ("mest", [1.02, 3.01, 2.005, 4.08]),
        ("snip", [2, 3, 1, 32]),
        ("sensitivity", [2, 1 / 3, 1 / 4, 2]),
        ("rsensitivity", [1 / 2, 3, 4, 1 / 2]),
    ],
)
def test_scores(rule: str, scores: list[float]) -> None:
    assert scores_of(rule, WEIGHT, GRADIENT, LINKS).tolist() == pytest.approx(scores)


def test_set_removes_the_smallest_positive_and_the_largest_negative_weights_in_equal_shares() -> None:
    weight = torch.tensor([[0.1, 0.2, 0.3, 0.4, 5.0, 6.0, 7.0, 8.0], [-10.0, -20.0, -30.0, -40.0, 0, 0, 0, 0]])
    kept = remove(weight != 0, weight, None, rule="set", exponent=None, keep=9, generator=seeded())
    assert weight[(weight != 0) & ~kept].tolist() == pytest.approx([0.1, 0.2, -10])


@pytest.mark.parametrize("rule", CRITERIA)
def test_scores_are_finite_where_weight_or_gradient_is_zero(rule: str) -> None:
    weight, gradient = torch.tensor([[0.0, 1, 0], [1, 0, 0]]), torch.tensor([[1.0, 0, 0], [1, 1, 0]])
    scores = scores_of(rule, weight, gradient, torch.ones(2, 3, dtype=torch.bool))
    assert scores.isfinite().all()
    assert (scores >= 0).all()


def test_unknown_rules_and_missing_gradients_are_errors() -> None:
    with pytest.raises(UserError, match="did you mean 'snip'"):
        scores_of("snipp", WEIGHT, GRADIENT, LINKS)
    for rule in ("mest", "snip", "sensitivity", "rsensitivity"):
        with pytest.raises(ValueError, match="reads the gradient"):
            scores_of(rule, WEIGHT, None, LINKS)


def test_hard_removal_keeps_the_highest_links_and_never_an_absent_one() -> None:
    kept = remove(LINKS, WEIGHT, None, rule="wm", exponent=None, keep=2, generator=seeded())
    assert kept.tolist() == [[False, True, False], [False, False, True]]
    masked = torch.tensor([[True, True, False], [True, False, False]])  # -4 is no link here
    kept = remove(masked, WEIGHT, None, rule="wm", exponent=None, keep=2, generator=seeded())
    assert kept.tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 3.0])
def test_soft_removal_keeps_links_as_plackett_luce_draws_them(exponent: float) -> None:
    weight, keep, draws = torch.tensor([[1.0, -2.0], [0.0, 3.0], [1.5, 0.0]]), 2, 4000
    links = torch.tensor([[True, True], [False, True], [True, False]])
    sizes = [abs(w) ** exponent for w in weight[links].tolist()]
    expected = torch.zeros(4)
    for first, second in permutations(range(4), 2):
        chance = sizes[first] / sum(sizes) * sizes[second] / (sum(sizes) - sizes[first])
        expected[[first, second]] += chance
    generator, kept = seeded(1), torch.zeros(4)
    for _ in range(draws):
        mask = remove(links, weight, None, rule="wm", exponent=exponent, keep=keep, generator=generator)
        assert not mask[~links].any()
        kept += mask[links]
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((kept / draws - expected).abs() < 4 * error + 1e-9).all()


def test_soft_removal_copes_with_links_of_weight_zero_and_with_steep_exponents() -> None:
    weight = torch.tensor([[0.0, 0.0, 1e-6, 2e-6]])
    links = torch.ones(1, 4, dtype=torch.bool)
    for seed in range(10):
        kept = remove(links, weight, None, rule="wm", exponent=9.0, keep=2, generator=seeded(seed))
        assert kept.tolist() == [[False, False, True, True]]
        assert remove(links, weight, None, rule="wm", exponent=0.0, keep=3, generator=seeded(seed)).sum() == 3


def test_global_pruning_compares_layers() -> None:
    first, second = keep_highest_overall([torch.tensor([1.0, 9.0]), torch.tensor([5.0, 2.0])], 2, seeded())
    assert (first.tolist(), second.tolist()) == ([False, True], [True, False])


def test_ties_are_broken_by_the_generator_not_by_position() -> None:
    chosen = {int(keep_highest(torch.ones(4), 1, seeded(seed)).int().argmax()) for seed in range(40)}
    assert chosen == {0, 1, 2, 3}


def test_regrowth_by_gradient_takes_the_largest_free_ones() -> None:
    grown = regrow(LINKS, GRADIENT, rule="gradient", soft=False, count=1, generator=seeded())
    assert grown.tolist() == [[False, False, False], [False, True, False]]  # |-8| is larger, but a link


def test_random_regrowth_reaches_every_free_pair() -> None:
    seen = torch.zeros(2, 3, dtype=torch.bool)
    for seed in range(30):
        grown = regrow(LINKS, None, rule="random", soft=True, count=1, generator=seeded(seed))
        assert grown.sum() == 1
        seen |= grown
    assert torch.equal(seen, ~LINKS)
