"""What the page shows, before it is HTML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from chtexp.report.layout import Layout
from chtexp.report.page.runs import RunPart, anchor
from chtexp.report.sections import Section, ordered, sections
from chtexp.report.table import Row, Table


@dataclass(frozen=True)
class Typed:
    """What was typed to make the page, so that the commands on it reproduce what it shows.

    Attributes:
        overrides: words of the form KEY=VALUE.
        results: flags that name results besides the run folders.
        config: flags that name the user's own configuration files.
    """

    overrides: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    config: tuple[str, ...] = ()

    def command(self, *words: str, reads_results: bool = True) -> str:
        """Compose a command with the same overrides and flags.

        Args:
            words: the command and its arguments, e.g. "table", "table7".
            reads_results: whether the command takes the flags of `results`.

        Returns:
            The command as a shell takes it.
        """
        results = self.results if reads_results else ()
        return shlex.join(["chtexp", *words, *self.overrides, *results, *self.config])


@dataclass(frozen=True)
class TablePart:
    """A table, or why it cannot be made.

    Attributes:
        name: the name of the table.
        table: None where it cannot be made.
        problem: the reason, then.
    """

    name: str
    table: Table | None
    problem: str = ""

    @property
    def of_the_paper(self) -> bool:
        """Whether the paper has a table, or a figure, of this name."""
        return re.fullmatch(r"(table|figure)\d+", self.name) is not None

    @property
    def measured(self) -> bool:
        """Whether any cell has results."""
        return self.table is not None and any(row.n for row in self.table.rows)

    @property
    def sections(self) -> list[Section]:
        """The table's sections; none where it cannot be made."""
        return list(sections(self.table)) if self.table else []

    @property
    def cells(self) -> list[Row]:
        """The cells in the order of the first section's rows."""
        return ordered(self.table) if self.table else []

    @property
    def glance(self) -> list[tuple[str, str, list[Row | None]]]:
        """The methods by columns: group, row, and the row's cells in the order of the layout's columns."""
        if self.table is None:
            return []
        layout, cells = self.table.layout, {(row.group, row.row, row.column): row for row in self.table.rows}
        return [
            (group, row, [cells.get((group, row, column)) for column in layout.columns])
            for group, rows in layout.groups.items()
            for row in rows
        ]

    @property
    def anchor(self) -> str:
        """The address of the table on the page, with a prefix of its own: a table may be named `runs`."""
        return anchor("table", self.name)

    def cell_anchor(self, cell: Row) -> str:
        """The address of the line with all numbers of a cell."""
        return anchor(self.name, cell.group, cell.row, cell.column)


@dataclass(frozen=True)
class FigurePart:
    """A figure, or why there is none.

    Attributes:
        name: the name of the figure.
        title: its title, which also describes it to readers who do not see it.
        svg: the figure as an SVG document; empty where there is none.
        problem: the reason, then.
        command: the command that draws it.
        table: the name of the table whose numbers it shows; empty if of none.
        measured: whether it shows any results.
    """

    name: str
    title: str
    svg: str
    problem: str = ""
    command: str = ""
    table: str = ""
    measured: bool = True

    @property
    def anchor(self) -> str:
        """The address of the figure on the page."""
        return anchor("figure", self.name)

    @property
    def table_anchor(self) -> str:
        """The address of its table on the page."""
        return anchor("table", self.table)


@dataclass(frozen=True)
class Page:
    """Everything that the page shows.

    Attributes:
        made: date and time, in words.
        version: the version of chtexp.
        runs_from: the folder and the files that were searched for results.
        tables: every table, in the order of the page.
        figures: every figure, in the order of the page.
        runs: every run.
        typed: what was typed to make the page.
    """

    made: str
    version: str
    runs_from: tuple[str, ...]
    tables: Sequence[TablePart]
    figures: Sequence[FigurePart]
    runs: Sequence[RunPart]
    typed: Typed = Typed()

    @property
    def runs_by_id(self) -> dict[str, list[RunPart]]:
        """The runs of every seed and state, by identity."""
        found: dict[str, list[RunPart]] = {}
        for run in self.runs:
            found.setdefault(run.id, []).append(run)
        return found

    @property
    def digits(self) -> dict[str, int]:
        """The digits after the decimal point of each run's reported value, by the run's anchor.

        They are those of the tables of this metric in which the run appears, or the default.
        """
        tables = {identity: [part.table for part, _ in places] for identity, places in self.cells_by_run.items()}
        return {
            run.anchor: max(
                (table.layout.digits for table in tables.get(run.id, []) if table and table.metric == run.metric),
                default=Layout.digits,
            )
            for run in self.runs
        }

    @property
    def cells_by_run(self) -> dict[str, list[tuple[TablePart, Row]]]:
        """The tables and cells in which each identity appears."""
        found: dict[str, list[tuple[TablePart, Row]]] = {}
        for part in self.tables:
            for cell in part.cells:
                if cell.id:
                    found.setdefault(cell.id, []).append((part, cell))
        return found
