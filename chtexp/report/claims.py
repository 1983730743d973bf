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
    """The number of the row `above` is higher than that of `below`. column: of the table, or the name of one of its means.

    exact: test it by the exact permutation of signs instead of the t-test; for a mean it is exact as it is.
    """

    above: str
    below: str
    column: str
    exact: bool = False


@dataclass(frozen=True)
class CheckedClaim:
    """A claim, the paper's numbers for it, and what the results say: `said` in words, with p and what it is over.

    difference: above minus below, in the metric's unit; marks: how the runs differ from the paper's.
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
        """Whether chance is an unlikely reason for the difference."""
        return self.p is not None and self.p < SIGNIFICANT


def check_claim(
    claim: Claim,
    seeds: Mapping[tuple[str, str], Mapping[int, float]],
    means: Sequence[MeanRow],
    paper: Mapping[tuple[str, str], float],
    marks: Mapping[tuple[str, str], tuple[str, ...]],
) -> CheckedClaim:
    """`claim` by the results. seeds: values by seed of each (row, column); paper: its means; marks: of each cell's runs."""
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
    """`p = 0.031`, to three digits after the point."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
