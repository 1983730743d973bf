"""Statistics over seeds and columns: functions of numbers alone, which say why where there is no number to give.

Which test: two rows that share seeds are compared seed by seed, by the paired t-test (a seed decides data order and first
topology, so the pairs belong together), or by the exact permutation of signs where that is asked for, which assumes no normal
distribution. Rows without a common seed are compared by Welch's t-test, which assumes no equal variances. Two rows over the
columns of a table are compared by the exact Wilcoxon signed-rank test, as in the paper's Table 16: columns differ in scale,
and ranks bear that. Every p is two-sided.

Student's distribution is scipy.special's. What scipy.stats has besides is not used: to import it takes a third of the time
that torch takes, and its exact permutations (`wilcoxon` with a `PermutationMethod`) take 0.7 s for 14 columns, 5.5 s for 16
and four times as much for each two more, where the sums of all signs below take 0.02 s for 20. The tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Place = TypeVar("Place")

FEWEST_PAIRS = 3  # a t-test of two pairs has one degree of freedom and tells nothing apart
MOST_SIGNS = 20  # 2^20 sums of signs are 8 MiB
SAME = 1e-9  # of their size: numbers closer than this differ by rounding alone


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error, in the unit of the numbers.

    Attributes:
        mean: None where there is none.
        standard_error: None where there is none.
        reason: why either is None.
    """

    mean: float | None
    standard_error: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The difference of one row and another, and its p-value.

    Attributes:
        difference: in the metric's unit; None without values.
        p: two-sided; None where it cannot be computed.
        over: what is compared, e.g. "3 paired seeds".
        reason: why p, or both, are None.
    """

    difference: float | None
    p: float | None
    over: str
    reason: str | None = None


@dataclass(frozen=True)
class Rate:
    """A win rate with its 95% interval.

    Attributes:
        rate: in [0, 1]; None without comparisons.
        low: the lower end of the interval.
        high: the upper end of the interval.
        places: how many places it is averaged over.
        reason: why the numbers are None.
    """

    rate: float | None
    low: float | None
    high: float | None
    places: int
    reason: str | None = None


def mean_and_error(values: Sequence[float]) -> Mean:
    """Compute the mean and its standard error, s / sqrt(n) with s over n - 1.

    Args:
        values: the numbers; one value has a mean alone.

    Returns:
        Both, or the reason why there is none.
    """
    if not values:
        return Mean(None, None, "no values")
    if not np.isfinite(values).all():
        return Mean(None, None, "a value is not finite")
    if len(values) == 1:
        return Mean(float(values[0]), None, "one value")
    return Mean(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values)))


def compare(one: Mapping[int, float], other: Mapping[int, float], *, exact: bool = False) -> Comparison:
    """Compare two rows: paired over their common seeds, or by Welch's t-test where no seed is common.

    Args:
        one: values by seed.
        other: values by seed, which are subtracted.
        exact: whether pairs are tested by the exact permutation of signs instead of the t-test.

    Returns:
        The difference of means and its p-value.
    """
    if not one or not other:
        return Comparison(None, None, "no seeds", "no results")
    common = sorted(one.keys() & other.keys())
    if not common:
        return welch(list(one.values()), list(other.values()))
    return paired([one[seed] - other[seed] for seed in common], exact=exact)


def paired(differences: Sequence[float], *, exact: bool = False) -> Comparison:
    """Test paired differences against zero: Student's t-test, or the exact permutation of signs.

    Args:
        differences: one for each seed. The t-test needs at least three that are not all equal.
        exact: whether to use the permutation test.

    Returns:
        The mean difference and its p-value.
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
    return Comparison(spread.mean, _students_p(spread.mean / spread.standard_error, len(differences) - 1), over)


def welch(one: Sequence[float], other: Sequence[float]) -> Comparison:
    """Compare two rows without a common seed by Welch's t-test.

    Args:
        one: the values of one row, at least two for a p-value.
        other: the values of the other row, at least two; those of one row at least must differ.

    Returns:
        The difference of means and its p-value.
    """
    over = f"{len(one)} against {_counted(len(other), 'unpaired seed')}"
    mine, theirs = mean_and_error(one), mean_and_error(other)
    if mine.mean is None or theirs.mean is None:
        return Comparison(None, None, over, mine.reason if mine.mean is None else theirs.reason)
    difference = mine.mean - theirs.mean
    if mine.standard_error is None or theirs.standard_error is None:
        return Comparison(difference, None, over, "Welch's test takes 2 a side")
    if _all_the_same(one) and _all_the_same(other):
        return Comparison(difference, None, over, "no side has any variance")
    variance, others = mine.standard_error**2, theirs.standard_error**2
    freedom = (variance + others) ** 2 / (variance**2 / (len(one) - 1) + others**2 / (len(other) - 1))
    return Comparison(difference, _students_p(difference / math.sqrt(variance + others), freedom), over)


def wilcoxon(differences: Sequence[float]) -> Comparison:
    """Test differences over columns by the exact Wilcoxon signed-rank test.

    Zeros are left out (Wilcoxon's way) and ties share their mean rank. The distribution is that of all signs of these ranks,
    and so is exact with ties as well. Six differences of one sign give 2 / 2^6 = 0.031, the paper's p.

    Args:
        differences: one for each column.

    Returns:
        The mean difference and its p-value.
    """
    over = _counted(len(differences), "paired column")
    mean = mean_and_error(differences)
    if mean.mean is None:
        return Comparison(None, None, over, mean.reason)
    kept = [value for value in np.round(differences, 9).tolist() if value]
    if not kept:
        return Comparison(mean.mean, None, over, "all differences are zero")
    p, reason = _sign_permutation((np.sign(kept) * _mean_ranks(np.abs(kept))).tolist())
    return Comparison(mean.mean, p, over, reason)


def win_rate(mine: Mapping[Place, float], others: Sequence[Mapping[Place, float]], *, higher_is_better: bool) -> Rate:
    """Compute the share of the others that one contestant beats, averaged over places; a tie is half a win.

    A place is a column and a seed. The interval is Wilson's at 95% over places, each counted once: comparisons at one place
    share a value and are not independent. Shares vary less than wins and losses do, so the interval is rather too wide.

    Args:
        mine: the contestant's value at each place.
        others: the values of each other contestant, by place.
        higher_is_better: whether the higher value wins.

    Returns:
        The rate and its interval, or the reason why there is none.
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
    """The share of all signs of `numbers` whose sum is as far from 0 as theirs, or the reason why there is none."""
    if len(numbers) > MOST_SIGNS:
        return None, f"more than {MOST_SIGNS} differences are too many for an exact test"
    if not np.any(numbers):
        return None, "all differences are zero"
    sums = np.zeros(1)
    for number in numbers:
        sums = np.concatenate([sums + number, sums - number])
    far = abs(sum(numbers))
    return float(np.mean(np.abs(sums) >= far - SAME * float(np.abs(numbers).sum()))), None


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _students_p(t: float, freedom: float) -> float:
    """The two-sided p-value of Student's t distribution."""
    from scipy.special import stdtr  # 0.1 s, where a p is wanted

    return float(2 * stdtr(freedom, -abs(t)))


def _all_the_same(numbers: Sequence[float]) -> bool:
    return float(np.ptp(numbers)) <= SAME * max(1.0, float(np.abs(numbers).max()))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
