"""The lock made: every cell of every grid composed, which takes minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple

from chtexp.config.compose import Composer
from chtexp.config.resources import conf_folders
from chtexp.config.run import Run
from chtexp.config.text import TextDataConfig
from chtexp.config.translation import TranslationDataConfig
from chtexp.cost.count import cost
from chtexp.paper.grid import BUDGETS, Cell, grid_names, load_grid, select
from chtexp.paper.lock import Lock, LockedCost, LockedRun, Table, hash_of_conf, hash_of_grid

DATA = "paths.data=null"  # what is locked is the same on every machine


def locked_tables() -> list[str]:
    """List every grid of the project's own."""
    return grid_names(conf_folders(None))


def make_lock(say: Callable[[str], object] = lambda line: None) -> Lock:
    """Make the lock of `conf/` as it is.

    Args:
        say: receives a line after each table.

    Returns:
        The lock.
    """
    cells: dict[str, Table] = {}
    runs: dict[str, LockedRun] = {}
    for name in locked_tables():
        cells[name] = {}
        for cell, budget, run in composed_cells(name, BUDGETS):
            identity = run.id
            cells[name].setdefault(cell.row, {}).setdefault(cell.column, {})[budget] = identity
            if identity not in runs:
                runs[identity] = locked_run(run)
        say(f"{name}: {sum(len(ids) for columns in cells[name].values() for ids in columns.values())} cells")
    grids = {name: hash_of_grid(load_grid(name, conf_folders(None))) for name in cells}
    return Lock(conf=hash_of_conf(), grids=grids, cells=cells, runs=runs)


def composed_cells(name: str, budgets: Iterable[str]) -> Iterator[tuple[Cell, str, Run]]:
    """Compose every cell of a grid at several budgets.

    Args:
        name: the name of the grid.
        budgets: the names of the budgets.

    Yields:
        A cell, the budget, and the cell's run at it.
    """
    grid, composer = load_grid(name, conf_folders(None)), Composer()
    for budget in budgets:
        for cell in select(grid, [f"budget={budget}", DATA]).cells:
            yield cell, budget, composer.run(cell.overrides)


def locked_run(run: Run) -> LockedRun:
    """Describe a run as the lock keeps it.

    Args:
        run: the run.

    Returns:
        What the lock says of the run. The cost of text is left out: it depends on the vocabulary, which prepared data have.
    """
    of_text = isinstance(run.data, TranslationDataConfig | TextDataConfig)
    found = None if of_text else cost(run)
    return LockedRun(
        data=run.data.name,
        method=run.method.name,
        budget=run.budget.name,
        cost=None if found is None else LockedCost(*astuple(found)),
    )
