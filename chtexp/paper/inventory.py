"""Everything that the paper shows, by name: what there is of it, and what to type to make it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from chtexp.config.compose import Composer
from chtexp.config.resources import conf_folders
from chtexp.config.typed import Description, describe
from chtexp.paper.cells import found_results
from chtexp.paper.grid import Grid, fullest_first, grid_names, load_grid, select
from chtexp.paper.identities import Identities
from chtexp.paper.results import Results
from chtexp.report.verdict import marks
from chtexp.store import Result
from chtexp.store.folder import slug

OF_THE_PAPER = re.compile(r"(table|figure)(\d+)")


class Other(Description):
    """A table or figure for which no runs are trained.

    Attributes:
        title: its title.
        make: what to type to make it, one after the other.
        measured: the file that a measurement goes to; None: it needs no results at all.
    """

    title: str
    make: tuple[str, ...]
    measured: Path | None = None


@dataclass(frozen=True)
class Entry:
    """A table or figure of the paper, and what there is of it.

    Attributes:
        name: its name.
        title: its title.
        done: how many cells have a number; of a measurement, 1 once it is there.
        wanted: how many cells there are; of a measurement, 1.
        complete: whether all cells are done with every seed, as the paper's.
        results: how many runs the cells have, of all seeds.
        budget: the budget of these runs; None without results.
        last_run: when the last of these runs was done (UTC); None without results, or where results do not say.
        make: what to type, one after the other.
        marks: in what these runs are not the paper's; none without results.
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
        """The state in one word: complete, begun or missing."""
        if self.complete:
            return "complete"
        return "begun" if self.done else "missing"


def paper_entries(results: Results, config_dir: Path | None = None) -> list[Entry]:
    """List all tables of the paper, then all its figures, by their numbers.

    Args:
        results: those that there are.
        config_dir: the person's own folder of configuration files.

    Returns:
        One entry for each table and figure.
    """
    folders = conf_folders(config_dir)
    known = {path.stem for folder in folders for path in (folder / "budget").glob("*.yaml")}
    budgets = fullest_first(budget for budget in known if slug(budget) in results.budgets)
    composer = Composer(config_dir)
    entries = [
        _of_grid(name, load_grid(name, folders), budgets, composer, results)
        for name in grid_names(folders)
        if OF_THE_PAPER.fullmatch(name)
    ]
    return sorted([*entries, *map(_of_other, *zip(*others().items(), strict=True))], key=_by_number)


@cache
def others() -> Mapping[str, Other]:
    """Read the tables and figures that are no grids, by name."""
    content = yaml.safe_load(files("chtexp.paper").joinpath("others.yaml").read_text())
    return {name: describe(Other, values, name) for name, values in content.items()}


def _by_number(entry: Entry) -> tuple[bool, int]:
    kind, number = OF_THE_PAPER.fullmatch(entry.name).groups()  # type: ignore[union-attr]
    return kind == "figure", int(number)


def _of_other(name: str, other: Other) -> Entry:
    wanted = int(other.measured is not None)
    done = int(other.measured is not None and other.measured.exists())
    return Entry(name, other.title, done, wanted, done == wanted, 0, None, None, other.make)


def _of_grid(name: str, grid: Grid, budgets: Sequence[str], composer: Composer, done: Results) -> Entry:
    """Describe a grid at the fullest budget of which there are results, as the table shows it."""
    evaluate = [f"chtexp {grid.reads.evaluation} RUN"] if grid.reads else []
    make = (f"chtexp sweep {name}", *evaluate, f"chtexp {name.rstrip('0123456789')} {name}")
    cells = select(grid, []).cells
    identities = Identities(name, grid, composer)
    for budget in budgets:
        selection = select(grid, [f"budget={budget}"])
        shown = (found_results(cell, selection, identities, done).results for cell in selection.cells)
        results = [numbers for found in shown if (numbers := [r for r in found if r.reported is not None])]
        if results:
            distinct = {result.key: result for found in results for result in found}
            last = max(filter(None, map(_finished, distinct.values())), default=None)
            found_marks = marks(list(distinct.values()), ())
            whole = len(results) == len(cells) and all(len(found) >= len(grid.seeds) for found in results)
            complete = whole and not found_marks
            return Entry(
                name, grid.title, len(results), len(cells), complete, len(distinct), budget, last, make, found_marks
            )
    return Entry(name, grid.title, 0, len(cells), False, 0, None, None, make)


def _finished(result: Result) -> str | None:
    """The time at which a result's run was done; None where the result does not say."""
    return result.environment.finished
