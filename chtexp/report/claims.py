"""Orders that the paper reports, row above row in a column, each checked from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chtexp.report.means import MeanRow
from chtexp.report.statistics import Comparison, compare

SIGNIFICANT = 0.05

CLAIMS_RULE = (
    "Above means the higher number, whichever is better. A claim holds where our difference of means, over the seeds that both "
    "rows have if any, is above zero, and fails where not; of means over columns it is open until all of them have results. p, "
    "two-sided, is that of no difference: paired t-test over the seeds that both rows have (at least 3), exact permutation of "
    "signs where it says exact, Welch's t-test where no seed is common, Wilcoxon's test over columns for means. "
    f"Not significant: p >= {SIGNIFICANT}, not corrected for the number of claims."
)


@dataclass(frozen=True)
class Claim:
    """The claim that the number of one row is higher than that of another.

    Attributes:
        above: the row with the higher number.
        below: the row with the lower number.
        column: a column of the table, or the name of one of its means.
        exact: whether it is tested by the exact permutation of signs instead of the t-test; for a mean it always is.
    """

    above: str
    below: str
    column: str
    exact: bool = False


@dataclass(frozen=True)
class CheckedClaim:
    """A claim, the paper's numbers for it, and what the results say.

    Attributes:
        claim: the claim.
        paper_above: the paper's number of the row above, in the metric's unit; None where it reports none.
        paper_below: the paper's number of the row below.
        word: whether the claim holds, fails or is open.
        difference: our difference, above minus below, in the metric's unit.
        p: the two-sided p-value.
        said: the outcome in words, with p and what it is over.
        marks: how the runs differ from the paper's.
    """

    claim: Claim
    paper_above: float | None
    paper_below: float | None
    word: Literal["holds", "fails", "open"]
    difference: float | None
    p: float | None
    said: str
    marks: tuple[str, ...]

    @property
    def significant(self) -> bool:
        """Whether the difference is statistically significant, p < SIGNIFICANT."""
        return self.p is not None and self.p < SIGNIFICANT


def check_claim(
    claim: Claim,
    seeds: Mapping[tuple[str, str], Mapping[int, float]],
    means: Sequence[MeanRow],
    paper: Mapping[tuple[str, str], float],
    marks: Mapping[tuple[str, str], tuple[str, ...]],
) -> CheckedClaim:
    """Check a claim against the results.

    Args:
        claim: the claim.
        seeds: our values by seed, of each (row, column).
        means: the compared means over columns.
        paper: the paper's mean of each (row, column).
        marks: how the runs of each (row, column) differ from the paper's.

    Returns:
        The claim with its outcome.
    """
    places = (claim.above, claim.column), (claim.below, claim.column)
    mean = next((mean for mean in means if mean.name == claim.column), None)
    if mean is None:
        compared = compare(*(seeds.get(place, {}) for place in places), exact=claim.exact)
        papers = [paper.get(place) for place in places]
        marked = tuple(dict.fromkeys(mark for place in places for mark in marks.get(place, ())))
    else:
        compared = mean.comparison if mean.rows[0] == claim.above else _turned(mean.comparison)
        papers = [dict(zip(mean.rows, mean.paper, strict=True))[row] for row in (claim.above, claim.below)]
        marked = mean.marks
        if 0 < mean.columns < mean.of:
            compared = Comparison(None, None, compared.over, f"{mean.columns} of {mean.of} columns")
    word, said = _in_words(compared)
    return CheckedClaim(claim, papers[0], papers[1], word, compared.difference, compared.p, said, marked)


def _turned(comparison: Comparison) -> Comparison:
    difference = None if comparison.difference is None else -comparison.difference
    return Comparison(difference, comparison.p, comparison.over, comparison.reason)


def _in_words(compared: Comparison) -> tuple[Literal["holds", "fails", "open"], str]:
    if compared.difference is None:
        reason = "no results" if compared.reason in ("no results", "no values") else compared.reason
        return "open", f"open: {reason}"
    word: Literal["holds", "fails"] = "holds" if compared.difference > 0 else "fails"
    if compared.p is None:
        return word, f"{word}, no p ({compared.over}: {compared.reason})"
    doubt = "" if compared.p < SIGNIFICANT else ", not significant"
    return word, f"{word}, {p_in_words(compared.p)} ({compared.over}){doubt}"


def p_in_words(p: float) -> str:
    """A p-value to three digits after the decimal point, e.g. `p = 0.031`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
