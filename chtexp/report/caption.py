"""The caption of a table: what must be said about its numbers, a sentence a line."""

from __future__ import annotations

from chtexp.report.number_format import DISTURBED, GAP, MARK
from chtexp.report.table import Table
from chtexp.report.verdict import RULE
from chtexp.store import LAST


def caption(table: Table) -> list[str]:
    """Write the sentences that stand below the cells of a table."""
    if not table.selected_by:
        return [*_without_results(table), *_damaged(table), *table.notes]
    lines = [
        f"Budget: {table.budget}{table.budget_said}. Every cell is measured at this budget"
        + (
            "; the paper's values are at its full training." if of_the_paper(table) and table.budget != "paper" else "."
        ),
        f"{table.metric}: {' or '.join(map(_moment, table.selected_by))}, mean ± standard error over seeds; "
        f"n of {table.layout.seeds} wanted seeds; last: the last evaluation, where it tests; seconds: training time of a run; "
        f"{GAP} is a gap.",
        "Bold: best of its group."
        + _star(table)
        + (" Difference: ours minus the paper's." if of_the_paper(table) else ""),
    ]
    if of_the_paper(table):
        lines.append(RULE)
    if marks := dict.fromkeys(mark for row in table.rows for mark in row.marks):
        lines.append(f"{MARK}: the runs are not the paper's: {'; '.join(marks)}.")
    if any(row.disturbed for row in table.rows):
        lines.append(f"seconds {DISTURBED}: measured beside other work, or with pauses.")
    if unknown := sum(row.disturbed is None for row in table.rows):
        lines.append(
            f"seconds: {unknown} of {len(table.rows)} cells do not say whether they were measured beside other work."
        )
    for head, facts in (("Data", table.sources), ("Hardware", _hardware(table)), ("Code", table.code)):
        if facts:
            lines.append(f"{head}: {'; '.join(facts)}.")
    return [*lines, *_damaged(table), *table.notes]


def _damaged(table: Table) -> list[str]:
    """That results are left out, if any are."""
    return [f"Damaged, and not shown: {len(table.damaged)} of its results."] if table.damaged else []


def _without_results(table: Table) -> list[str]:
    said = f"Budget: {table.budget}. No cell has a result yet; {GAP} is a gap."
    return [said + " The paper's values are at its full training.", RULE] if of_the_paper(table) else [said]


def _hardware(table: Table) -> list[str]:
    """What the runs were made on; of several, with the numbers that stand beside seconds."""
    if len(table.hardware) < 2:
        return list(table.hardware)
    numbered = [f"[{place}] {kind}" for place, kind in enumerate(table.hardware, 1)]
    return [*numbered, "seconds with different numbers cannot be compared"]


def of_the_paper(table: Table) -> bool:
    """Whether any cell has a number in the paper."""
    return any(row.paper is not None for row in table.rows)


def _moment(selected_by: str) -> str:
    if selected_by == LAST:
        return f"at the {LAST}"
    return f"at the evaluation of best {selected_by} once the final density is reached"


def _star(table: Table) -> str:
    if not table.layout.reference:
        return ""
    return f" *: {'above' if table.higher_is_better else 'below'} {table.layout.reference}."
