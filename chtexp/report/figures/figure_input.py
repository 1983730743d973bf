"""What a figure of a grid is drawn from, and what must be said below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chtexp.report.figures.series import Record, label_of
from chtexp.report.layout import CellResults
from chtexp.report.number_format import MARK
from chtexp.report.table import Row, Table, build_table
from chtexp.store import Result

Place = tuple[str, str]  # row, column
DIAMOND = "◇: the paper’s value, at its full training."
NO_RESULTS = "no results"
LISTED = 6  # names in a note before it counts the others


@dataclass(frozen=True)
class TrainedRun:
    """A finished run of a cell.

    Attributes:
        row: the row of its cell.
        column: the column of its cell.
        seed: the seed of the run.
        result: what `result.json` says.
        records: the lines of its `metrics.jsonl`, as `recorded.checked` passes them; empty where the run's folder is not on
            this machine, or where the file is damaged.
        damaged: whether that file cannot be read.
    """

    row: str
    column: str
    seed: int
    result: Result
    records: Sequence[Record] = ()
    damaged: bool = False


@dataclass(frozen=True)
class FigureInput:
    """Everything that a figure of a grid is drawn from.

    Attributes:
        table: the table with all numbers.
        runs: the runs behind these numbers.
        paper_flops: FLOPs of the paper's own training by (row, column), from the cost model.
    """

    table: Table
    runs: tuple[TrainedRun, ...] = ()
    paper_flops: Mapping[Place, float] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows, in the order of the table."""
        return tuple(row for rows in self.table.layout.groups.values() for row in rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the table."""
        return self.table.layout.columns

    @property
    def has_results(self) -> bool:
        """Whether any cell has a result."""
        return any(row.mean is not None for row in self.table.rows)

    def cell(self, row: str, column: str) -> Row:
        """The cell of a row in a column; a gap where the table was not asked for that cell."""
        found = next((cell for cell in self.table.rows if (cell.row, cell.column) == (row, column)), None)
        return found or self._gap(row, column)

    def _gap(self, row: str, column: str) -> Row:
        layout = self.table.layout
        group = next(group for group, rows in layout.groups.items() if row in rows)
        nothing = [CellResults(group, row, column, "", ())]
        return build_table(replace(layout, means=(), claims=()), nothing, {}, budget=self.table.budget).rows[0]

    def runs_of(self, row: str, column: str) -> tuple[TrainedRun, ...]:
        """The runs of one cell."""
        return tuple(run for run in self.runs if (run.row, run.column) == (row, column))

    def recorded(self, row: str, column: str) -> Sequence[Record]:
        """The records of the first run of a cell that has any."""
        return next((run.records for run in self.runs_of(row, column) if run.records), ())

    def marked(self, row: str, columns: Iterable[str] | None = None) -> str:
        """The mark of a row with any result that is not of the paper's budget, data or settings.

        Args:
            row: the name of the row.
            columns: the columns that count; None: all of them.

        Returns:
            MARK, or nothing.
        """
        wanted = self.columns if columns is None else tuple(columns)
        return MARK if any(cell.marks for cell in self.table.rows if cell.row == row and cell.column in wanted) else ""


def metric_label(table: Table) -> str:
    """The metric with its unit, as an axis shows it: `accuracy (%)`, `perplexity (lower is better)`."""
    return label_of(table.metric) + ("" if table.higher_is_better else " (lower is better)")


def notes(given: FigureInput, *more: str, paper: str = "", over_seeds: bool = True) -> list[str]:
    """Write the sentences that stand below a figure.

    Args:
        given: what the figure is drawn from.
        more: sentences that this kind of figure adds.
        paper: the sentence that explains the paper's values; empty where the figure shows none.
        over_seeds: whether the figure shows means over seeds.

    Returns:
        One sentence or more an entry.
    """
    table = given.table
    said = [*more, *([paper] if paper else [])]
    if given.has_results:
        means = " Mean and standard error over seeds; one seed has no error." if over_seeds else ""
        said.append(f"Budget: {table.budget}{table.budget_said}.{means}")
    else:
        said.insert(0, f"{NO_RESULTS}: {'the paper’s values alone.' if paper else 'nothing to draw yet.'}")
    if found := dict.fromkeys(mark for row in table.rows for mark in row.marks):
        said.append(f"{MARK}: not the paper’s runs: {'; '.join(found)}.")
    if given.has_results and (empty := [row for row in table.rows if row.mean is None]):
        said.append(f"Without results: {listed([f'{row.row} on {row.column}' for row in empty])}.")
    return said


def disturbed(given: FigureInput) -> list[str]:
    """Name the cells whose seconds were measured beside other work, for a figure that shows seconds."""
    found = [f"{row.row} on {row.column}" for row in given.table.rows if row.disturbed]
    return [f"Measured beside other work, or with pauses: the seconds of {listed(found)}."] if found else []


def without_records(given: FigureInput) -> list[str]:
    """Name the results that have no records of their training: only collected, or with a damaged `metrics.jsonl`."""
    bare = [run for run in given.runs if not run.records]
    missing = dict.fromkeys(f"{run.row} on {run.column}" for run in bare if not run.damaged)
    damaged = [f"{run.row} on {run.column} (seed {run.seed})" for run in bare if run.damaged]
    return [
        *([f"No curves of: {listed(list(missing))} (their run folders are not here)."] if missing else []),
        *([f"Not shown: {listed(damaged)}; what was recorded (metrics.jsonl) cannot be read."] if damaged else []),
    ]


def listed(names: Sequence[str]) -> str:
    """Join the first names, and count the others."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def has_paper(given: FigureInput) -> bool:
    """Whether the paper reports any of these cells."""
    return any(row.paper is not None for row in given.table.rows)
