"""Statistics over seeds and columns: functions of numbers alone, which say why where there is no number to give.

Which test: two rows that share seeds are compared seed by seed, by the paired t-test (a seed decides data order and first
topology, so the pairs belong together), or by the exact permutation of signs where that is asked for, which assumes no normal
distribution. Rows without a common seed are compared by Welch's t-test, which assumes no equal variances. Two rows over the
columns of a table are compared by the exact Wilcoxon signed-rank test, as in the paper's Table 16: columns differ in scale,
and ranks bear that. Every p is two-sided, and scipy's, which is loaded where a p is wanted: that takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Place = TypeVar("Place")

FEWEST_PAIRS = 3  # a t-test of two pairs has one degree of freedom and tells nothing apart
MOST_SIGNS = 20  # 2^20 permutations of signs are a second's work
SAME = 1e-9  # of their size: numbers closer than this differ by rounding alone


@dataclass(frozen=True)
class Mean:
    """mean and standard_error in the unit of the numbers. reason: why either is None."""

    mean: float | None
    standard_error: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One row minus another. difference: in the metric's unit; p: two-sided; over: of what, e.g. "3 paired seeds".

    reason: why p is None, or both p and difference.
    """

    difference: float | None
    p: float | None
    over: str
    reason: str | None = None


@dataclass(frozen=True)
class Rate:
    """A share, 0 to 1, with the ends of its 95% interval over so many `places`. reason: why they are None."""

    rate: float | None
    low: float | None
    high: float | None
    places: int
    reason: str | None = None


def mean_and_error(values: Sequence[float]) -> Mean:
    """The mean and its standard error, s / sqrt(n) with s over n - 1; one value has a mean alone."""
    if not values:
        return Mean(None, None, "no values")
    if not np.isfinite(values).all():
        return Mean(None, None, "a value is not finite")
    if len(values) == 1:
        return Mean(float(values[0]), None, "one value")
    return Mean(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values)))


def compare(one: Mapping[int, float], other: Mapping[int, float], *, exact: bool = False) -> Comparison:
    """`one` minus `other`, values by seed: paired over the common seeds, by Welch's test where no seed is common.

    exact: of pairs, the exact permutation of signs instead of the t-test.
    """
    if not one or not other:
        return Comparison(None, None, "no seeds", "no results")
    common = sorted(one.keys() & other.keys())
    if not common:
        return welch(list(one.values()), list(other.values()))
    return paired([one[seed] - other[seed] for seed in common], exact=exact)


def paired(differences: Sequence[float], *, exact: bool = False) -> Comparison:
    """The mean of `differences` of pairs of seeds, and the p of none: Student's t-test, or the exact permutation of signs.

    The t-test takes three pairs that do not all differ by the same.
    """
    over = _counted(len(differences), "paired seed")
    spread = mean_and_error(differences)
    if spread.mean is None:
        return Comparison(None, None, over, spread.reason)
    if exact:
        p, reason = _sign_permutation(differences)
        return Comparison(spread.mean, p, over, reason)
    if spread.standard_error is None or len(differences) < FEWEST_PAIRS:
        return Comparison(spread.mean, None, over, f"a paired test takes {FEWEST_PAIRS}")
    if _all_the_same(differences):
        return Comparison(spread.mean, None, over, "all differences are the same")
    from scipy.stats import ttest_1samp

    return Comparison(spread.mean, float(ttest_1samp(differences, 0).pvalue), over)


def welch(one: Sequence[float], other: Sequence[float]) -> Comparison:
    """The mean of `one` minus that of `other`, and Welch's p; it takes two values a side, of which one side's differ."""
    over = f"{len(one)} against {_counted(len(other), 'unpaired seed')}"
    mine, theirs = mean_and_error(one), mean_and_error(other)
    if mine.mean is None or theirs.mean is None:
        return Comparison(None, None, over, mine.reason if mine.mean is None else theirs.reason)
    difference = mine.mean - theirs.mean
    if mine.standard_error is None or theirs.standard_error is None:
        return Comparison(difference, None, over, "Welch's test takes 2 a side")
    if _all_the_same(one) and _all_the_same(other):
        return Comparison(difference, None, over, "no side has any variance")
    from scipy.stats import ttest_ind_from_stats  # which bears a side without variance

    spread, others = mine.standard_error * math.sqrt(len(one)), theirs.standard_error * math.sqrt(len(other))
    found = ttest_ind_from_stats(mine.mean, spread, len(one), theirs.mean, others, len(other), equal_var=False)
    return Comparison(difference, float(found.pvalue), over)


def wilcoxon(differences: Sequence[float]) -> Comparison:
    """The mean of `differences` over columns, and the exact p of the Wilcoxon signed-rank test.

    Zeros are left out (Wilcoxon's way) and ties share their mean rank; the distribution is that of all signs of these ranks,
    and so is exact with ties, too. Six differences of one sign give 2 / 2^6 = 0.031, the paper's p.
    """
    over = _counted(len(differences), "paired column")
    mean = mean_and_error(differences)
    if mean.mean is None:
        return Comparison(None, None, over, mean.reason)
    kept = [value for value in np.round(differences, 9).tolist() if value]
    if not kept:
        return Comparison(mean.mean, None, over, "all differences are zero")
    from scipy.stats import rankdata

    p, reason = _sign_permutation((np.sign(kept) * rankdata(np.abs(kept))).tolist())
    return Comparison(mean.mean, p, over, reason)


def win_rate(mine: Mapping[Place, float], others: Sequence[Mapping[Place, float]], *, higher_is_better: bool) -> Rate:
    """Which share of `others` that have a value there `mine` beats, averaged over places; a tie is half a win.

    A place is a column and a seed. The interval is Wilson's at 95% over places, each counted once: comparisons at one place
    share a value and are not independent. Shares vary less than wins and losses do, so the interval is rather too long.
    """
    sign = 1 if higher_is_better else -1
    differences = {
        place: [sign * (value - other[place]) for other in others if place in other] for place, value in mine.items()
    }
    compared = [np.asarray(found) for found in differences.values() if found]
    count = len(compared)
    if not compared or not all(np.isfinite(found).all() for found in compared):
        return Rate(None, None, None, count, "a value is not finite" if compared else "nothing to compare")
    rate = float(np.mean([np.mean((np.sign(np.round(found, 9)) + 1) / 2) for found in compared]))
    z = 1.959963984540054  # 95% of a normal distribution lie within
    middle = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return Rate(rate, max(0.0, middle - half), min(1.0, middle + half), count)


def _sign_permutation(numbers: Sequence[float]) -> tuple[float | None, str | None]:
    """The share of all signs of `numbers` whose sum is as far from 0 as theirs, or why there is none."""
    if len(numbers) > MOST_SIGNS:
        return None, f"more than {MOST_SIGNS} differences are too many for an exact test"
    if not np.any(numbers):
        return None, "all differences are zero"
    if len(numbers) == 1:
        return 1.0, None  # of either sign it is as far; scipy takes two at least
    from scipy.stats import permutation_test

    every = 2 ** len(numbers)
    found = permutation_test(
        (np.asarray(numbers),), np.sum, permutation_type="samples", n_resamples=every, vectorized=True, batch=1 << 14
    )
    return float(found.pvalue), None


def _all_the_same(numbers: Sequence[float]) -> bool:
    return float(np.ptp(numbers)) <= SAME * max(1.0, float(np.abs(numbers).max()))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
