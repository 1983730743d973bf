"""Everything that the paper shows, by name: what there is of it, and what to type to make it.

Composing a configuration loads torch and takes time, and the paper's grids have hundreds of cells: only those are composed that
a result could be of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from chtexp.experiments.grid import Cell, Grid, fullest_first, grid_names, load_grid, select
from chtexp.experiments.likeness import could_be
from chtexp.report.verdict import marks
from chtexp.resources import conf_folders
from chtexp.store.collection import Collection, Result
from chtexp.typed import Description, describe

if TYPE_CHECKING:
    from chtexp.compositions import Compositions

OF_THE_PAPER = re.compile(r"(table|figure)(\d+)")


class Other(Description):
    """What no runs are trained for. measured: the file that a measurement goes to; None: it needs no results at all."""

    title: str
    make: tuple[str, ...]
    measured: Path | None = None


@dataclass(frozen=True)
class Entry:
    """One table or figure. done, wanted: cells with a number, and all; of a measurement, 1.

    complete: all are done with every seed, as the paper's. results: how many runs the cells have, of all seeds. budget,
    last_run (UTC), marks (in what they are not the paper's): of these; None or none without results, or where results do not
    say. make: what to type, one after the other.
    """

    name: str
    title: str
    done: int
    wanted: int
    complete: bool
    results: int
    budget: str | None
    last_run: str | None
    make: tuple[str, ...]
    marks: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """In one word."""
        if self.complete:
            return "complete"
        return "begun" if self.done else "missing"


def paper_entries(found: Collection, config_dir: Path | None = None) -> list[Entry]:
    """All tables, then all figures, by their numbers. found: the results there are."""
    folders = conf_folders(config_dir)
    grids = {name: load_grid(name, folders) for name in grid_names(folders) if OF_THE_PAPER.fullmatch(name)}
    matching = _Matching(found, folders, config_dir)
    entries = [_of_grid(name, grid, matching) for name, grid in grids.items()]
    return sorted([*entries, *map(_of_other, *zip(*others().items(), strict=True))], key=_by_number)


@cache
def others() -> Mapping[str, Other]:
    """What is no grid, by name."""
    content = yaml.safe_load(files("chtexp.report").joinpath("paper_others.yaml").read_text())
    return {name: describe(Other, values, name) for name, values in content.items()}


def _by_number(entry: Entry) -> tuple[bool, int]:
    kind, number = OF_THE_PAPER.fullmatch(entry.name).groups()  # type: ignore[union-attr]
    return kind == "figure", int(number)


def _of_other(name: str, other: Other) -> Entry:
    wanted = int(other.measured is not None)
    done = int(other.measured is not None and other.measured.exists())
    return Entry(name, other.title, done, wanted, done == wanted, 0, None, None, other.make)


def _of_grid(name: str, grid: Grid, matching: _Matching) -> Entry:
    """At the fullest budget of which there are results, as the table shows it."""
    evaluate = [f"chtexp {grid.reads.evaluation} RUN"] if grid.reads else []
    make = (f"chtexp sweep {name}", *evaluate, f"chtexp {name.rstrip('0123456789')} {name}")
    cells = select(grid, []).cells
    for budget in matching.budgets:
        chosen = select(grid, [f"budget={budget}"]).cells
        shown = (grid.shown(cell.row, cell.column, matching.results(cell, budget)) for cell in chosen)
        results = [numbers for found in shown if (numbers := [r for r in found if r["reported"] is not None])]
        if results:
            distinct = {(result["id"], result["seed"]): result for found in results for result in found}
            last = max(filter(None, map(_finished, distinct.values())), default=None)
            found_marks = marks(list(distinct.values()), ())
            whole = len(results) == len(cells) and all(len(found) >= len(grid.seeds) for found in results)
            complete = whole and not found_marks
            return Entry(
                name, grid.title, len(results), len(cells), complete, len(distinct), budget, last, make, found_marks
            )
    return Entry(name, grid.title, 0, len(cells), False, 0, None, None, make)


def _finished(result: Result) -> str | None:
    """When its run was done; None of a result that does not say."""
    when: str | None = result["environment"].get("finished")
    return when


class _Matching:
    """Finds the results of cells; composes a cell's configuration only where one could be its."""

    def __init__(self, found: Collection, folders: Sequence[Path], config_dir: Path | None) -> None:
        self._folders = folders
        self._by_id: dict[str, list[Result]] = {}
        for result in found.values():
            self._by_id.setdefault(str(result["id"]), []).append(result)
        known = {path.stem for folder in folders for path in (folder / "budget").glob("*.yaml")}
        self.budgets = fullest_first(known & {str(result["budget"]) for result in found.values()})
        self._id_of = cache(_id_by_composing(config_dir))

    def results(self, cell: Cell, budget: str) -> Iterator[Result]:
        """Those of `cell`, of every seed."""
        if any(self._plausible(cell, results[0], budget) for results in self._by_id.values()):
            yield from self._by_id.get(self._id_of(cell.overrides), ())

    def _plausible(self, cell: Cell, result: Result, budget: str) -> bool:
        return result["budget"] == budget and could_be(result["science"], cell.overrides, self._folders)


def _id_by_composing(config_dir: Path | None) -> Callable[[Iterable[str]], str]:
    @cache
    def compositions() -> Compositions:
        from chtexp.compositions import Compositions  # only now: it loads torch

        return Compositions(config_dir)

    return lambda overrides: compositions().run(tuple(overrides)).id
