"""The sections of a table in plain text: its cells, means over columns, and claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chtexp.report.caption import caption, of_the_paper
from chtexp.report.claims import CLAIMS_RULE, CheckedClaim
from chtexp.report.means import MEANS_RULE, MeanRow
from chtexp.report.number_format import DISTURBED, GAP, MARK, number, rounded, with_error
from chtexp.report.table import Row, Table

PAPER_COLUMNS = ("paper", "difference", "verdict", "paper ANP %")


@dataclass(frozen=True)
class Section:
    """A part of a table as text.

    Attributes:
        title: of the section.
        heads: the heads of the columns.
        rows: the texts, by row and column.
        left: how many of the first columns are text, aligned left.
        lines: sentences below.
        bold: the places (row, column) of the best numbers.
    """

    title: str
    heads: list[str]
    rows: list[list[str]]
    left: int
    lines: list[str]
    bold: frozenset[tuple[int, int]] = frozenset()


def sections(table: Table) -> Iterator[Section]:
    """Yield the cells of a table, then its means and its claims where it has any."""
    yield _cells(table)
    if table.means:
        yield _means(table)
    if table.claims:
        yield _claims(table)


def ordered(table: Table) -> list[Row]:
    """The rows column by column, with groups and rows in the order of the layout."""
    return sorted(table.rows, key=lambda row: table.layout.columns.index(row.column))


def _cells(table: Table) -> Section:
    rows = ordered(table)
    shown = [_fields(row, table) for row in rows]
    heads = [head for head in shown[0] if of_the_paper(table) or head not in PAPER_COLUMNS]
    return Section(
        title=table.layout.title,
        heads=heads,
        rows=[[fields[head] for head in heads] for fields in shown],
        left=3,
        lines=caption(table),
        bold=frozenset((place, heads.index(table.metric)) for place, row in enumerate(rows) if row.best),
    )


def _fields(row: Row, table: Table) -> dict[str, str]:
    metric, digits = table.metric, table.layout.digits
    return {
        "data": row.column,
        "group": row.group,
        "method": row.row,
        metric: with_error(row.mean, row.standard_error, digits) + ("*" if row.above else "") + _mark(row),
        "n": str(row.n),
        "last": rounded(row.last, digits),
        "paper": with_error(row.paper, row.paper_standard_error, digits),
        "difference": rounded(row.difference, digits, "+"),
        "verdict": _verdict(row),
        "ANP %": number(row.anp, ".0f"),
        "paper ANP %": number(row.paper_anp, ".0f"),
        "non-zeros": number(row.nonzeros, ",.0f"),
        "seconds": number(row.seconds, ".1f") + (DISTURBED if row.disturbed else "") + _on(row.hardware, table),
    }


def _on(hardware: Sequence[str], table: Table) -> str:
    """The numbers that the caption gives to a cell's hardware, where the table has several kinds."""
    if not hardware or len(table.hardware) == 1:
        return ""
    return f" [{', '.join(str(table.hardware.index(kind) + 1) for kind in hardware)}]"


def _verdict(row: Row) -> str:
    """The verdict in words, with the reason where no mark beside the number tells it already."""
    return row.verdict if row.verdict_reason is None or row.marks else f"{row.verdict} ({row.verdict_reason})"


def _mark(shown: Row | MeanRow | CheckedClaim) -> str:
    return MARK if shown.marks else ""


def _means(table: Table) -> Section:
    heads = ["mean over", "columns", "rows", table.metric, "paper", "p", "paper p"]
    return Section("Means", heads, [_mean_fields(mean, table.layout.digits) for mean in table.means], 3, [MEANS_RULE])


def _mean_fields(mean: MeanRow, digits: int) -> list[str]:
    return [
        mean.name,
        f"{mean.columns} of {mean.of}",
        " against ".join(mean.rows),
        _pair(mean.means, digits) + _mark(mean),
        _pair(mean.paper, digits),
        number(mean.comparison.p, ".3f"),
        number(mean.paper_p, ".3f"),
    ]


def _pair(numbers: Sequence[float | None], digits: int) -> str:
    """Two numbers, or one gap where either is missing."""
    return GAP if None in numbers else " against ".join(rounded(value, digits) for value in numbers)


def _claims(table: Table) -> Section:
    heads = ["data", f"claim: {table.metric}", "paper", "results"]
    return Section(
        "Claims", heads, [_claim_fields(claim, table.layout.digits) for claim in table.claims], 4, [CLAIMS_RULE]
    )


def _claim_fields(checked: CheckedClaim, digits: int) -> list[str]:
    claim = checked.claim
    exact = " (exact)" if claim.exact else ""
    return [
        claim.column,
        f"{claim.above} above {claim.below}{exact}",
        _pair((checked.paper_above, checked.paper_below), digits),
        checked.said + (f" {MARK}" if checked.marks else ""),
    ]
