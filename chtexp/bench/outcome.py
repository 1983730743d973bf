"""What a benchmark found, as a table for people and as one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from chtexp.bench.machine import machine_in_words
from chtexp.bench.measure import Spread
from chtexp.errors import unknown
from chtexp.others import DISTURBED
from chtexp.report.formats import lines_of
from chtexp.report.words import GAP

SUFFIXES = (".json", ".md")


def number(value: object) -> str:
    """A value of a row: three digits, quartiles in brackets, a dash for nothing."""
    if value is None:
        return GAP
    if isinstance(value, Spread):
        return f"{number(value.median)} ({number(value.low)}..{number(value.high)})"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def megabytes(value: Any) -> str:
    """Bytes as MB (10^6), a dash for nothing."""
    return GAP if value is None else f"{value / 1e6:,.2f}"


class Column(NamedTuple):
    """A column of the table: its head, the key of the rows that it shows, and how."""

    head: str
    key: str
    show: Callable[[Any], str] = number


class Findings(NamedTuple):
    """rows: plain values and `Spread`s by key. columns: what of them is shown. notes: what must be said with them."""

    rows: list[dict[str, Any]]
    columns: Sequence[Column]
    notes: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """One benchmark, run: what was asked, what was found, by what machine, in how many seconds."""

    bench: str
    settings: dict[str, Any]
    findings: Findings
    machine: dict[str, Any]
    seconds: float

    def text(self) -> str:
        """A table for a terminal."""
        return "\n".join([lines_of(self._cells(), self._heads()), "", *self._notes()])

    def markdown(self) -> str:
        """A table for a page."""
        table = tabulate(self._cells(), headers=self._heads(), tablefmt="pipe", disable_numparse=True)
        return "\n".join([f"### chtexp bench {self.bench}", "", table, "", *(f"{line}  " for line in self._notes())])

    def json(self) -> str:
        """{"bench", "settings", "rows", "notes", "machine", "seconds"}; a spread is {"median", "low", "high", "rounds"}."""
        value = {
            "bench": self.bench,
            "settings": self.settings,
            "rows": [
                {key: asdict(cell) if is_dataclass(cell) else cell for key, cell in row.items()}  # type: ignore[arg-type]
                for row in self.findings.rows
            ],
            "notes": list(self.findings.notes),
            "machine": self.machine,
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(value, indent=2, allow_nan=False)

    def write(self, path: Path) -> None:
        """To a file, as its suffix says; see `check_output`."""
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
    """The file to be written, its folder made; UserError for a suffix that is none of `suffixes`."""
    if path.suffix not in suffixes:
        raise unknown(f"suffix of {path}", path.suffix, suffixes)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
