"""What a benchmark found, as a table for people and as one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from chtexp.bench.machine import Machine, machine_in_words
from chtexp.bench.measure import Spread
from chtexp.errors import unknown
from chtexp.report.formats import lines_of
from chtexp.report.number_format import GAP
from chtexp.system.others import DISTURBED

SUFFIXES = (".json", ".md")

Cell = str | int | float | Spread | None
Row = Mapping[str, Cell]


def number(value: Cell) -> str:
    """Write a cell: three digits, quartiles in brackets, a dash for nothing."""
    if value is None:
        return GAP
    if isinstance(value, Spread):
        return f"{number(value.median)} ({number(value.low)}..{number(value.high)})"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def megabytes(value: Cell) -> str:
    """Write bytes as MB (10^6), a dash for nothing."""
    if value is None:
        return GAP
    assert isinstance(value, int | float)
    return f"{value / 1e6:,.2f}"


def median(value: Cell) -> str:
    """Write the median of a spread."""
    assert isinstance(value, Spread)
    return f"{value.median:.2f}"


def plain(row: Row) -> dict[str, str | int | float | dict[str, float] | None]:
    """A row as JSON has it: a spread becomes its median, quartiles and number of rounds."""
    return {key: asdict(cell) if isinstance(cell, Spread) else cell for key, cell in row.items()}


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        head: what stands above it.
        key: of the rows' values that it shows.
        show: writes a value.
    """

    head: str
    key: str
    show: Callable[[Cell], str] = number


class Findings(NamedTuple):
    """What a benchmark measured.

    Attributes:
        rows: plain values and `Spread`s by key.
        columns: what of them is shown.
        notes: what must be said with them.
    """

    rows: Sequence[Row]
    columns: Sequence[Column]
    notes: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """One benchmark, run.

    Attributes:
        bench: its name.
        settings: what was asked.
        findings: what was measured.
        machine: what measured it.
        seconds: of the whole benchmark.
    """

    bench: str
    settings: Mapping[str, object]
    findings: Findings
    machine: Machine
    seconds: float

    def text(self) -> str:
        """Write a table for a terminal."""
        return "\n".join([lines_of(self._cells(), self._heads()), "", *self._notes()])

    def markdown(self) -> str:
        """Write a table for a page."""
        table = tabulate(self._cells(), headers=self._heads(), tablefmt="pipe", disable_numparse=True)
        return "\n".join([f"### chtexp bench {self.bench}", "", table, "", *(f"{line}  " for line in self._notes())])

    def json(self) -> str:
        """Write one JSON object: bench, settings, rows, notes, machine, seconds. A spread is median, low, high and rounds."""
        value = {
            "bench": self.bench,
            "settings": self.settings,
            "rows": [plain(row) for row in self.findings.rows],
            "notes": list(self.findings.notes),
            "machine": self.machine,
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(value, indent=2, allow_nan=False)

    def write(self, path: Path) -> None:
        """Write to a file as its suffix says; see `check_output`."""
        path.write_text((self.json() if path.suffix == ".json" else self.markdown()) + "\n")

    def _heads(self) -> list[str]:
        return [column.head for column in self.findings.columns]

    def _cells(self) -> list[list[str]]:
        return [[column.show(row.get(column.key)) for column in self.findings.columns] for row in self.findings.rows]

    def _notes(self) -> list[str]:
        notes = [*self.findings.notes, f"{machine_in_words(self.machine)}; {self.seconds:.0f} s"]
        if (share := self.machine["busy_with_others"] or 0.0) > DISTURBED:
            notes.append(f"Other processes took {share:.0%} of the cores meanwhile: measure again when they are idle.")
        return notes


def check_output(path: Path, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """Check the name of a file to be written, and make its folder.

    Args:
        path: the file.
        suffixes: that it may have.

    Returns:
        `path`.

    Raises:
        UserError: another suffix.
    """
    if path.suffix not in suffixes:
        raise unknown(f"suffix of {path}", path.suffix, suffixes)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
