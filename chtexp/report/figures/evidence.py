"""What a figure of a grid is drawn from, and what must be said below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chtexp.report.figures.series import Record, label_of
from chtexp.report.layout import CellResults, Result
from chtexp.report.table import Row, Table, build_table
from chtexp.report.words import MARK

Place = tuple[str, str]  # row, column
DIAMOND = "◇: the paper’s value, at its full training."
NO_RESULTS = "no results"
LISTED = 6  # names in a note before it counts the others


@dataclass(frozen=True)
class TrainedRun:
    """A finished run of a cell.

    records: its `metrics.jsonl`, `recorded.checked`; empty where its folder is not at hand, or (damaged) cannot be read.
    """

    row: str
    column: str
    seed: int
    result: Result
    records: Sequence[Record] = ()
    damaged: bool = False


@dataclass(frozen=True)
class Evidence:
    """table: the numbers. runs: what they come from. paper_flops: of the paper's own training of a cell, by the cost model."""

    table: Table
    runs: tuple[TrainedRun, ...] = ()
    paper_flops: Mapping[Place, float] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows, in the order of the table."""
        return tuple(row for rows in self.table.layout.groups.values() for row in rows)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.table.layout.columns

    @property
    def has_results(self) -> bool:
        return any(row.mean is not None for row in self.table.rows)

    def cell(self, row: str, column: str) -> Row:
        """The cell of a row in a column; a gap where the table was not asked for it: cells may be chosen one by one."""
        found = next((cell for cell in self.table.rows if (cell.row, cell.column) == (row, column)), None)
        return found or self._gap(row, column)

    def _gap(self, row: str, column: str) -> Row:
        layout = self.table.layout
        group = next(group for group, rows in layout.groups.items() if row in rows)
        nothing = [CellResults(group, row, column, "", ())]
        return build_table(replace(layout, means=(), claims=()), nothing, {}, budget=self.table.budget).rows[0]

    def runs_of(self, row: str, column: str) -> tuple[TrainedRun, ...]:
        return tuple(run for run in self.runs if (run.row, run.column) == (row, column))

    def recorded(self, row: str, column: str) -> Sequence[Record]:
        """The records of the first run of a cell that has any."""
        return next((run.records for run in self.runs_of(row, column) if run.records), ())

    def marked(self, row: str, columns: Iterable[str] | None = None) -> str:
        """The mark of a row any of whose results (in these columns) are not of the paper's budget, data or settings."""
        wanted = self.columns if columns is None else tuple(columns)
        return MARK if any(cell.marks for cell in self.table.rows if cell.row == row and cell.column in wanted) else ""


def metric_label(table: Table) -> str:
    """`accuracy (%)`, `perplexity (lower is better)`."""
    return label_of(table.metric) + ("" if table.higher_is_better else " (lower is better)")


def notes(evidence: Evidence, *more: str, paper: str = "", over_seeds: bool = True) -> list[str]:
    """What stands below a figure.

    paper: where it shows the paper's values, if it does; more: what this kind adds. over_seeds: it shows means.
    """
    table = evidence.table
    said = [*more, *([paper] if paper else [])]
    if evidence.has_results:
        means = " Mean and standard error over seeds; one seed has no error." if over_seeds else ""
        said.append(f"Budget: {table.budget}{table.budget_said}.{means}")
    else:
        said.insert(0, f"{NO_RESULTS}: {'the paper’s values alone.' if paper else 'nothing to draw yet.'}")
    if found := dict.fromkeys(mark for row in table.rows for mark in row.marks):
        said.append(f"{MARK}: not the paper’s runs: {'; '.join(found)}.")
    if evidence.has_results and (empty := [row for row in table.rows if row.mean is None]):
        said.append(f"Without results: {listed([f'{row.row} on {row.column}' for row in empty])}.")
    return said


def disturbed(evidence: Evidence) -> list[str]:
    """Whose seconds are not their training's own, of a figure that shows seconds."""
    found = [f"{row.row} on {row.column}" for row in evidence.table.rows if row.disturbed]
    return [f"Measured beside other work, or with pauses: the seconds of {listed(found)}."] if found else []


def without_records(evidence: Evidence) -> list[str]:
    """Which results came without the records of their training: a collection of results holds none, a file may be damaged."""
    bare = [run for run in evidence.runs if not run.records]
    missing = dict.fromkeys(f"{run.row} on {run.column}" for run in bare if not run.damaged)
    damaged = [f"{run.row} on {run.column} (seed {run.seed})" for run in bare if run.damaged]
    return [
        *([f"No curves of: {listed(list(missing))} (their run folders are not here)."] if missing else []),
        *([f"Not shown: {listed(damaged)}; what was recorded (metrics.jsonl) cannot be read."] if damaged else []),
    ]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def has_paper(evidence: Evidence) -> bool:
    """Whether the paper reports any of these cells."""
    return any(row.paper is not None for row in evidence.table.rows)
