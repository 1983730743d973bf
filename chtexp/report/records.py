"""A table as flat records: one a cell, one a row of a mean, one a claim; the field `kind` distinguishes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from chtexp.report.claims import CheckedClaim
from chtexp.report.means import MeanRow
from chtexp.report.sections import ordered
from chtexp.report.table import Row, Table

Record = dict[str, object]


def records(table: Table) -> Iterator[Record]:
    """Yield every cell in reading order, then means and claims; each record names its table, budget and metric."""
    common: Record = {"table": table.layout.name, "budget": table.budget, "metric": table.metric}
    for row in ordered(table):
        yield {**common, "kind": "cell", **_cell(row)}
    for mean in table.means:
        for record in _mean(mean):
            yield {**common, "kind": "mean", **record}
    for claim in table.claims:
        yield {**common, "kind": "claim", **_claim(claim)}


def _cell(row: Row) -> Record:
    return {
        **asdict(row),
        "seeds": " ".join(map(str, row.seeds)),
        "values": " ".join("nan" if value is None else str(value) for value in row.values),  # as many as seeds
        "marks": "; ".join(row.marks),
        "hardware": "; ".join(row.hardware),
        "commands": "; ".join(row.commands),
    }


def _mean(mean: MeanRow) -> Iterator[Record]:
    for row, ours, paper in zip(mean.rows, mean.means, mean.paper, strict=True):
        yield {
            "column": mean.name,
            "row": row,
            "mean": ours,
            "paper": paper,
            "marks": "; ".join(mean.marks),
            "p": mean.comparison.p,
            "over": mean.comparison.over,
            "paper_p": mean.paper_p,
        }


def _claim(checked: CheckedClaim) -> Record:
    return {
        "column": checked.claim.column,
        "row": checked.claim.above,
        "difference": checked.difference,
        "verdict": checked.word,
        "verdict_reason": checked.said,
        "marks": "; ".join(checked.marks),
        "p": checked.p,
        "below": checked.claim.below,
    }
