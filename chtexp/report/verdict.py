"""How a cell stands to the paper's: one rule, whose text the tables print."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chtexp.report.paper_numbers import PaperNumber
from chtexp.report.statistics import Mean

Word = Literal["consistent", "higher", "lower", "not comparable", "no result"]

WIDTH = 2
PAPER_SEEDS = 3  # of every number for which the paper gives a standard error
LISTED = 4  # settings of changed runs that are named
# by which results tell of data that are not the paper's, a part of them standing in for all, too
STAND_IN = re.compile(r"stand-in|JPEG|\d+ of \d+ (training|validation) files")

RULE = (
    f"Verdict: consistent where |difference| <= {WIDTH} sqrt(e^2 + p^2), otherwise higher or lower than the paper; e and p are "
    "our standard error and the paper's. One that is missing is estimated as that of a single run of the other side (its "
    f"standard error x sqrt(its seeds), which are {PAPER_SEEDS} in the paper); the root counts as at least half the paper's "
    "last digit (0.005 of two after the point). Not comparable: another budget than the paper's, stand-in data, changed runs, "
    "no value in the paper, or one seed where the paper gives no standard error."
)


@dataclass(frozen=True)
class Verdict:
    """word: higher and lower are of the numbers, whichever is better. reason: why a cell is not comparable."""

    word: Word
    reason: str | None = None


def marks(results: Sequence[Mapping[str, Any]], changed: Sequence[str]) -> tuple[str, ...]:
    """In what the runs of a cell are not the paper's: budget, data, settings. changed: the names of those settings."""
    budgets = [result["science"]["budget"] for result in results]
    said = [f"budget {budget['name']}" for budget in budgets if not _whole(budget)]
    said += [f"stand-in data ({name})" for result in results if (name := _stand_in(str(result["data_source"])))]
    said += [f"the first {limit} items of a task" for r in results if (limit := r.get("item_limit")) is not None]
    said += [part for result in results for part in result.get("parts", ())]
    if results and changed:
        more = f" and {len(changed) - LISTED} more" if len(changed) > LISTED else ""
        said.append(f"changed runs ({', '.join(changed[:LISTED])}{more})")
    return tuple(dict.fromkeys(said))


def verdict(ours: Mean, seeds: int, paper: PaperNumber | None, marked: Sequence[str], digits: int = 2) -> Verdict:
    """RULE, of the mean of `seeds` seeds against the paper's. marked: from `marks`.

    digits: that the paper prints after the point.
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


def _whole(budget: Mapping[str, Any]) -> bool:
    """Whether it is the paper's training, whatever its name: all of its length, on all of the data."""
    return budget["fraction"] == 1 and budget["train_limit"] is None and budget["test_limit"] is None


def _stand_in(source: str) -> str | None:
    """The beginning of a source that is not the paper's data, as far as its colon."""
    return source.partition(":")[0] if STAND_IN.search(source) else None
