"""What a table asks for: rows, columns and claims, and the results that fill them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chtexp.report.claims import Claim
from chtexp.report.means import MeanOver
from chtexp.store import Result


@dataclass(frozen=True)
class Layout:
    """The arrangement of a table: rows, columns, and what is compared.

    Attributes:
        name: the name of the table.
        title: its title.
        columns: the names of the columns.
        groups: the rows of each group; they compete within it.
        reference: the row that a star is measured against, if any.
        seeds: how many seeds each cell wants.
        metric: the metric that is shown where there are no results yet.
        digits: of the metric, after the decimal point.
        means: pairs of rows that are compared over several columns.
        claims: orders that the paper reports, each to be checked.
        notes: sentences for the caption.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    reference: str | None
    seeds: int
    metric: str = "accuracy"
    digits: int = 2
    means: tuple[MeanOver, ...] = ()
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellResults:
    """The finished runs of one cell.

    Attributes:
        group: the group of the row.
        row: the row of the cell.
        column: the column of the cell.
        id: the identity of the configuration that the cell asks for.
        results: the results, one a seed.
        unread: how many more runs are finished, but lack the evaluation that the cell reports.
        changed: the settings in which the runs differ from the paper's, apart from the budget.
        damaged: what is wrong with results that cannot be read.
    """

    group: str
    row: str
    column: str
    id: str
    results: tuple[Result, ...]
    unread: int = 0
    changed: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def is_disturbed(result: Result) -> bool | None:
    """Whether a result's seconds were measured beside other work, or with pauses; None for older results, which do not say."""
    beside = result.environment.beside
    return None if beside is None else beside.disturbed
