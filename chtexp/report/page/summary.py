"""What reproduces: for each table, how complete the results are and what they say; only the paper's own training counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from chtexp.report.number_format import MARK
from chtexp.report.page.content import TablePart
from chtexp.report.table import Table
from chtexp.report.verdict import Word

WORDS: tuple[Word, ...] = get_args(Word)
COMPARED: tuple[Word, ...] = ("consistent", "higher", "lower")


@dataclass(frozen=True)
class Tally:
    """The counts of one table, or of several together.

    Attributes:
        wanted: cells in all.
        measured: cells with results.
        complete: cells with results of every seed.
        marked: cells whose runs are not the paper's.
        budgets: the budgets of tables with results.
        verdicts: cells by verdict.
        claims: unmarked claims by whether they hold, fail or are open.
        significant: those of them that are statistically significant.
        marked_claims: claims on runs that are not the paper's.
        marks: how runs differ from the paper's.
    """

    wanted: int
    measured: int
    complete: int
    marked: int
    budgets: tuple[str, ...]
    verdicts: Counter[str]
    claims: Counter[str]
    significant: Counter[str]
    marked_claims: Counter[str]
    marks: tuple[str, ...]


def tally(table: Table) -> Tally:
    """Count the cells and claims of one table."""
    measured = [row for row in table.rows if row.n]
    return Tally(
        wanted=len(table.rows),
        measured=len(measured),
        complete=sum(row.n >= table.layout.seeds for row in measured),
        marked=sum(bool(row.marks) for row in measured),
        budgets=(table.budget,) if measured else (),
        verdicts=Counter(row.verdict for row in table.rows),
        claims=Counter(claim.word for claim in table.claims if not claim.marks),
        significant=Counter(claim.word for claim in table.claims if not claim.marks and claim.significant),
        marked_claims=Counter(claim.word for claim in table.claims if claim.marks),
        marks=tuple(dict.fromkeys(mark for row in table.rows for mark in row.marks)),
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """Add up the counts of several tables."""
    every = list(tallies)
    return Tally(
        wanted=sum(one.wanted for one in every),
        measured=sum(one.measured for one in every),
        complete=sum(one.complete for one in every),
        marked=sum(one.marked for one in every),
        budgets=tuple(dict.fromkeys(budget for one in every for budget in one.budgets)),
        verdicts=sum((one.verdicts for one in every), Counter()),
        claims=sum((one.claims for one in every), Counter()),
        significant=sum((one.significant for one in every), Counter()),
        marked_claims=sum((one.marked_claims for one in every), Counter()),
        marks=tuple(dict.fromkeys(mark for one in every for mark in one.marks)),
    )


def of_the_paper(parts: Sequence[TablePart]) -> Tally:
    """Add up the counts of the paper's own tables and figures."""
    return total(tally(part.table) for part in parts if part.table and part.of_the_paper)


def in_words(found: Tally) -> list[str]:
    """Say the counts in words, a sentence each."""
    return [*_of_cells(found), *_of_claims(found)]


def _of_cells(found: Tally) -> list[str]:
    verdicts = found.verdicts
    compared = sum(verdicts[word] for word in COMPARED)
    said = [
        f"The paper's tables and figures ask for {found.wanted:,} cells; {found.measured:,} have results, "
        f"{found.complete:,} of them of every seed wanted."
    ]
    if compared:
        said.append(
            f"{_cells(compared)} can be compared with the paper: {verdicts['consistent']:,} consistent, "
            f"{verdicts['higher']:,} higher, {verdicts['lower']:,} lower."
        )
    else:
        said.append("No cell can be compared with the paper yet, so nothing is said to be reproduced.")
    if found.marked:
        said.append(
            f"{_cells(found.marked)} {MARK} {_one(found.marked, 'differs', 'differ')} in the runs from the paper "
            f"({'; '.join(found.marks)}): shown, never counted as reproduced."
        )
    if others := verdicts["not comparable"] - found.marked:
        said.append(
            f"{_cells(others)} {_one(others, 'has', 'have')} results and nothing to be compared with: no value in the paper, or "
            "no error on either side."
        )
    return said


def _of_claims(found: Tally) -> list[str]:
    claims, sure, marked = found.claims, found.significant, found.marked_claims
    every = claims.total() + marked.total()
    if not every:
        return []
    said = [
        f"Of {every:,} orders that the paper reports (one row above another), {claims['holds']:,} hold ({sure['holds']:,} "
        f"significantly) and {claims['fails']:,} fail ({sure['fails']:,} significantly) in comparable results; "
        f"{claims['open'] + marked['open']:,} are open."
    ]
    if marked["holds"] or marked["fails"]:
        said.append(
            f"In results {MARK} alone, {marked['holds']:,} more hold and {marked['fails']:,} more fail: a hint, not counted."
        )
    return said


def _cells(count: int) -> str:
    return f"{count:,} {_one(count, 'cell', 'cells')}"


def _one(count: int, singular: str, plural: str) -> str:
    return singular if count == 1 else plural
