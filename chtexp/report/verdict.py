"""How a cell compares with the paper's: one rule, whose text the tables print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chtexp.report.expected import PaperNumber
from chtexp.report.statistics import Mean
from chtexp.store import Result
from chtexp.store.records import Length

Word = Literal["consistent", "higher", "lower", "not comparable", "no result"]

WIDTH = 2
PAPER_SEEDS = 3  # of every number for which the paper gives a standard error
LISTED = 4  # settings of changed runs that are named

RULE = (
    f"Verdict: consistent where |difference| <= {WIDTH} sqrt(e^2 + p^2), otherwise higher or lower than the paper; e and p are "
    "our standard error and the paper's. One that is missing is estimated as that of a single run of the other side (its "
    f"standard error x sqrt(its seeds), which are {PAPER_SEEDS} in the paper); the root counts as at least half the paper's "
    "last digit (0.005 of two after the point). Not comparable: another budget than the paper's, stand-in data, changed runs, "
    "no value in the paper, or one seed where the paper gives no standard error."
)


@dataclass(frozen=True)
class Verdict:
    """How a cell compares with the paper's.

    Attributes:
        word: higher and lower are of the numbers, whichever is better.
        reason: why a cell is not comparable, or has no result.
    """

    word: Word
    reason: str | None = None


def marks(results: Sequence[Result], changed: Sequence[str]) -> tuple[str, ...]:
    """Say how the runs of a cell differ from the paper's: in budget, data or settings.

    Args:
        results: the results of the cell.
        changed: the names of the settings that differ.

    Returns:
        Each difference once, in words.
    """
    budgets = [result.science.budget for result in results]
    said = [f"budget {budget.name}" for budget in budgets if not _whole(budget)]
    said += [deviation for result in results for deviation in result.deviations]
    said += [f"the first {limit} items of a task" for r in results if (limit := r.item_limit) is not None]
    said += [part for result in results for part in result.parts]
    if results and changed:
        more = f" and {len(changed) - LISTED} more" if len(changed) > LISTED else ""
        said.append(f"changed runs ({', '.join(changed[:LISTED])}{more})")
    return tuple(dict.fromkeys(said))


def verdict(ours: Mean, seeds: int, paper: PaperNumber | None, marked: Sequence[str], digits: int = 2) -> Verdict:
    """Compare a cell with the paper's, by RULE.

    Args:
        ours: the mean over seeds and its standard error, in the metric's unit.
        seeds: how many seeds it is over.
        paper: the paper's number, if it reports one.
        marked: how the runs differ from the paper's, from `marks`.
        digits: that the paper prints after the decimal point.

    Returns:
        The verdict.
    """
    if ours.mean is None:
        return Verdict("no result", None if ours.reason == "no values" else ours.reason)
    if marked:
        return Verdict("not comparable", "; ".join(marked))
    if paper is None:
        return Verdict("not comparable", "no value in the paper")
    error, papers_error = ours.standard_error, paper.standard_error
    if error is None and papers_error is None:
        return Verdict("not comparable", "one seed, no paper error")
    if error is None and papers_error is not None:
        error = papers_error * math.sqrt(PAPER_SEEDS)
    elif papers_error is None and error is not None:
        papers_error = error * math.sqrt(seeds)
    combined = max(0.5 * 10.0**-digits, math.hypot(error or 0.0, papers_error or 0.0))
    difference = ours.mean - paper.mean
    if abs(difference) <= WIDTH * combined + 1e-9:  # a difference of two decimal numbers is not exact
        return Verdict("consistent")
    return Verdict("higher" if difference > 0 else "lower")


def _whole(budget: Length) -> bool:
    """Whether a budget is the paper's training, whatever its name: all of its length, on all of the data."""
    return budget.fraction == 1 and budget.train_limit is None and budget.test_limit is None
