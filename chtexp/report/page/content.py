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
    """What was typed to make the page, so that the commands on it make what it shows.

    overrides: KEY=VALUE. results: flags of what is read besides the run folders. config: flags of where one's own files are.
    """

    overrides: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    config: tuple[str, ...] = ()

    def command(self, *words: str, reads_results: bool = True) -> str:
        """What to type for `words`, e.g. "table", "table7", with the same overrides and flags."""
        results = self.results if reads_results else ()
        return shlex.join(["chtexp", *words, *self.overrides, *results, *self.config])


@dataclass(frozen=True)
class TablePart:
    """A table by its name, or (table: None) why it cannot be made."""

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
        return list(sections(self.table)) if self.table else []

    @property
    def cells(self) -> list[Row]:
        """In the order of the first section's rows."""
        return ordered(self.table) if self.table else []

    @property
    def glance(self) -> list[tuple[str, str, list[Row | None]]]:
        """Methods by columns: group, row, and its cells in the layout's order of columns."""
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
        """Where it stands on the page, apart from the page's own parts: a table may be named `runs`."""
        return anchor("table", self.name)

    def cell_anchor(self, cell: Row) -> str:
        """Where the line with all of a cell's numbers stands."""
        return anchor(self.name, cell.group, cell.row, cell.column)


@dataclass(frozen=True)
class FigurePart:
    """A figure as an SVG document, or (svg: "") why there is none. title: also its description for those who do not see it.

    command: what draws it. table: the name of the table whose numbers it shows, if any. measured: whether any results are in it.
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
        """Where it stands on the page."""
        return anchor("figure", self.name)

    @property
    def table_anchor(self) -> str:
        """Where its table stands."""
        return anchor("table", self.table)


@dataclass(frozen=True)
class Page:
    """All of it. made: when, in words; runs_from: the folder and the files that results were looked for in; typed: how."""

    made: str
    version: str
    runs_from: tuple[str, ...]
    tables: Sequence[TablePart]
    figures: Sequence[FigurePart]
    runs: Sequence[RunPart]
    typed: Typed = Typed()

    @property
    def runs_by_id(self) -> dict[str, list[RunPart]]:
        """Runs of every seed and state, by identity."""
        found: dict[str, list[RunPart]] = {}
        for run in self.runs:
            found.setdefault(run.id, []).append(run)
        return found

    @property
    def digits(self) -> dict[str, int]:
        """Digits after the point of what each run reports, by its anchor: as in the tables of this metric that it stands in."""
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
        """Where each identity stands in the tables."""
        found: dict[str, list[tuple[TablePart, Row]]] = {}
        for part in self.tables:
            for cell in part.cells:
                if cell.id:
                    found.setdefault(cell.id, []).append((part, cell))
        return found
