"""Statistics: against numbers worked out by hand, against scipy, and of inputs that allow no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from chtexp.report.statistics import (
    Comparison,
    Mean,
    compare,
    mean_and_error,
    paired,
    welch,
    wilcoxon,
    win_rate,
)

DRAWS = np.random.default_rng(0).normal(0.4, 1.0, size=(20, 12))


def test_the_mean_and_its_error_by_hand() -> None:
    assert mean_and_error([1, 2, 3]).mean == 2
    assert mean_and_error([1, 2, 3]).standard_error == pytest.approx(1 / math.sqrt(3))
    assert mean_and_error([5.0, 5.0]) == Mean(5, 0)
    assert mean_and_error([5.0]) == Mean(5, None, "one value")
    assert mean_and_error([]) == Mean(None, None, "no values")
    assert mean_and_error([1.0, math.nan]) == Mean(None, None, "a value is not finite")


def test_the_paired_test_by_hand() -> None:
    found = paired([1, 2, 3])  # mean 2, error 1 / sqrt(3), t = 2 sqrt(3); with 2 degrees p = 1 - t / sqrt(t^2 + 2)
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(t**2 + 2))
    assert (found.difference, found.over, found.reason) == (2, "3 paired seeds", None)


@pytest.mark.parametrize("count", [3, 4, 7, 12])
def test_p_values_are_those_of_scipy(count: int) -> None:
    for draws in DRAWS:
        sample, other = draws[:count].tolist(), (2 * draws[::-1][: count - 1] + 1).tolist()
        assert paired(sample).p == pytest.approx(stats.ttest_1samp(sample, 0).pvalue)
        assert welch(sample, other).p == pytest.approx(stats.ttest_ind(sample, other, equal_var=False).pvalue)
        assert wilcoxon(sample).p == pytest.approx(stats.wilcoxon(sample, method="exact").pvalue)
        permuted = stats.permutation_test((sample,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert paired(sample, exact=True).p == pytest.approx(permuted.pvalue)


def test_common_seeds_are_paired_and_others_left_out() -> None:
    one, other = {0: 3.0, 1: 5.0, 2: 4.5, 7: 100.0}, {2: 3.0, 1: 3.0, 0: 2.0, 9: -100.0}
    found = compare(one, other)
    assert found == paired([1.0, 2.0, 1.5])
    assert found.difference == pytest.approx(1.5)
    assert found.p is not None
    assert compare(other, one).difference == pytest.approx(-1.5)


def test_without_common_seeds_the_test_is_welchs() -> None:
    found = compare({0: 1.0, 1: 2.0}, {5: 4.0, 6: 8.0, 7: 9.0})
    assert found == welch([1.0, 2.0], [4.0, 8.0, 9.0])
    assert found.over == "2 against 3 unpaired seeds"
    assert found.difference == pytest.approx(1.5 - 7)


def test_exact_permutation_by_hand() -> None:
    assert paired([1, 2, 3], exact=True).p == 2 / 8  # only all signs the same reach 6
    assert paired([1, 2, -1], exact=True).p == 6 / 8  # |sums| 2, 4, 2, 0, twice each, at least 2


@pytest.mark.parametrize(
    ("found", "difference", "reason"),
    [
        (compare({}, {0: 1.0}), None, "no results"),
        (compare({0: 1.0}, {}), None, "no results"),
        (compare({0: 2.0}, {0: 1.0}), 1, "a paired test takes 3"),
        (compare({0: 2.0, 1: 3.0}, {0: 1.0, 1: 1.0}), 1.5, "a paired test takes 3"),
        (paired([0.1 + 0.2, 0.3, 0.3]), 0.3, "all differences are the same"),
        (paired([0.0, 0.0, 0.0]), 0, "all differences are the same"),
        (paired([0.0, 0.0], exact=True), 0, "all differences are zero"),
        (paired([1.0, math.inf, 2.0]), None, "a value is not finite"),
        (paired([1.0] * 21, exact=True), 1, "more than 20 differences are too many for an exact test"),
        (welch([1.0], [2.0, 3.0]), -1.5, "Welch's test takes 2 a side"),
        (welch([2.0, 2.0], [1.0, 1.0]), 1, "no side has any variance"),
        (welch([2.0, 2.0], [math.nan, 1.0]), None, "a value is not finite"),
        (wilcoxon([]), None, "no values"),
        (wilcoxon([0.0, 0.0]), 0, "all differences are zero"),
    ],
)
def test_where_there_is_no_p_it_is_said_why(found: Comparison, difference: float | None, reason: str) -> None:
    assert found.p is None
    assert found.reason == reason
    assert found.difference == (None if difference is None else pytest.approx(difference))


def test_one_side_without_variance_is_enough_for_welch() -> None:
    one, other = (2.0, 0.0, 2), (np.mean([1.0, 1.2, 1.5]), np.std([1.0, 1.2, 1.5], ddof=1), 3)
    expected = stats.ttest_ind_from_stats(*one, *other, equal_var=False).pvalue
    assert welch([2.0, 2.0], [1.0, 1.2, 1.5]).p == pytest.approx(expected)


def test_six_differences_of_one_sign_have_the_papers_p() -> None:
    assert round(wilcoxon([3.0, 2.5, 1.9, 1.0, 2.0, 0.5]).p or 0, 3) == 0.031
    assert wilcoxon([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]).p == 2 / 64
    # ranks 1 + 2 + 5 against 3 + 4 + 6: of the 64 signs of the ranks 1 to 6, 44 have sums at least 5 away from 0
    assert wilcoxon([1.0, 2.0, -3.0, -4.0, -5.0, 4.5]).p == 44 / 64


def test_wilcoxon_with_ties_and_zeros_is_exact() -> None:
    # ranks 1.5, 1.5, 3 of 1, -1, 2; sum 3; |sums| of all signs: 6, 3, 3, 0, twice each
    assert wilcoxon([1.0, -1.0, 2.0]).p == 6 / 8
    # ranks 1 to 4, sum 2: all signs but the two with sum 0 reach it; the zero takes no rank
    assert wilcoxon([1.0, 0.0, 2.0, 3.0, -4.0]).p == 14 / 16
    assert wilcoxon([0.3, 0.1 + 0.2, -0.3, 0.6]).p == wilcoxon([3.0, 3.0, -3.0, 6.0]).p  # equal but for rounding


@pytest.mark.parametrize("count", [2, 5, 9])
def test_wilcoxon_with_ties_and_zeros_is_scipys_permutation(count: int) -> None:
    for draws in DRAWS:
        tied = np.round(draws[:count] * 2) / 2
        kept = tied[tied != 0]
        if kept.size < 2:
            continue
        scipys = stats.wilcoxon(kept, method=stats.PermutationMethod(n_resamples=np.inf))
        assert wilcoxon(tied.tolist()).p == pytest.approx(scipys.pvalue)


def test_twenty_columns_take_no_time_and_keep_to_scipys_exact_distribution() -> None:
    sample = np.random.default_rng(1).normal(0.3, 1.0, size=20)
    assert wilcoxon(sample.tolist()).p == pytest.approx(stats.wilcoxon(sample, method="exact").pvalue)


def test_sums_that_differ_by_rounding_alone_are_as_far() -> None:
    assert paired([0.1, 0.2, -0.3 + 1e-17, 0.4], exact=True).p == paired([1.0, 2.0, -3.0, 4.0], exact=True).p


def test_the_win_rate_by_hand() -> None:
    mine = {("a", 0): 3.0, ("a", 1): 2.0, ("b", 0): 1.0}
    others = [{("a", 0): 1.0, ("a", 1): 2.0, ("c", 0): 9.0}, {("a", 0): 5.0, ("b", 0): 0.0}]
    found = win_rate(mine, others, higher_is_better=True)  # in a 0 one won and one lost, in a 1 tied, in b 0 won
    assert (found.rate, found.places) == (2 / 3, 3)
    assert win_rate(mine, others, higher_is_better=False).rate == pytest.approx(1 / 3)


def test_more_others_at_the_same_places_make_no_interval_shorter() -> None:
    mine, other = dict.fromkeys(range(4), 1.0), dict.fromkeys(range(4), 0.0)
    assert win_rate(mine, [other], higher_is_better=True) == win_rate(mine, [other] * 9, higher_is_better=True)


@pytest.mark.parametrize("wins", [0, 3, 10])
def test_the_interval_of_a_win_rate_is_wilsons(wins: int) -> None:
    mine = {place: 1.0 if place < wins else -1.0 for place in range(10)}
    found = win_rate(mine, [dict.fromkeys(range(10), 0.0)], higher_is_better=True)
    wilson = stats.binomtest(wins, 10).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


def test_a_win_rate_of_nothing_is_none() -> None:
    found = win_rate({1: 2.0}, [{2: 1.0}], higher_is_better=True)
    assert (found.rate, found.low, found.high, found.places) == (None, None, None, 0)
    assert found.reason == "nothing to compare"
    assert win_rate({1: math.nan}, [{1: 1.0}], higher_is_better=True).reason == "a value is not finite"
