"""What is done of a cell of a table: the results of its run, and in what that run is not the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chtexp.config.run import Run
from chtexp.paper.grid import Cell, Selection
from chtexp.paper.identities import Identities
from chtexp.paper.results import Results
from chtexp.report import CellResults

ANY_BUDGET = ("budget=", "paths.")  # overrides that leave data, model, task, method and precision what they are


def cell_results(cell: Cell, selection: Selection, identities: Identities, results: Results) -> CellResults:
    """Collect the finished results of a cell, and the settings in which its run differs from the paper's.

    Args:
        cell: the cell.
        selection: the grid, and the seeds that were asked for.
        identities: the identities of the grid's cells.
        results: the finished results.

    Returns:
        The results of the seeds that were asked for; of every seed where none was asked for.

    Raises:
        UserError: the cell's run cannot be composed, or two places hold different numbers for it.
    """
    found = found_results(cell, selection, identities, results)
    if not found.results:
        return found
    return replace(found, changed=results.known_by_plugins(lambda: _changed(cell, identities)))


def found_results(cell: Cell, selection: Selection, identities: Identities, results: Results) -> CellResults:
    """Collect the finished results of a cell, without the settings in which its run differs from the paper's.

    To find these settings may take composing.

    Args:
        cell: as for `cell_results`.
        selection: as for `cell_results`.
        identities: as for `cell_results`.
        results: as for `cell_results`.

    Returns:
        As of `cell_results`. The identity is empty, and the run is not composed, where no finished run can be the cell's.

    Raises:
        UserError: as of `cell_results`.
    """
    identity = identities.looked_up(cell)
    if identity is None and not identities.could_be(cell, results.names):  # to compose it is not worth the time
        return CellResults(cell.group, cell.row, cell.column, "", ())
    identity = identity or results.known_by_plugins(lambda: identities.of(cell))
    done = [one for one in results.of(identity) if not selection.seeds_asked or one.seed in selection.seeds]
    shown = selection.grid.shown(cell.row, cell.column, done)
    return CellResults(
        cell.group,
        cell.row,
        cell.column,
        identity,
        tuple(shown),
        unread=len(done) - len(shown),
        damaged=tuple(map(str, results.damaged(identity))),
    )


def _changed(cell: Cell, identities: Identities) -> tuple[str, ...]:
    """Find the settings in which the cell's run differs from the grid's own run of this cell at the paper's budget."""
    added = [override for override in cell.overrides if override not in cell.own]
    if not cell.own or all(override.startswith(ANY_BUDGET) for override in added):
        return ()
    mine, papers = (_settings(identities.composer.run(words)) for words in (cell.overrides, cell.own))
    keys = sorted(key for key in mine.keys() | papers.keys() if mine.get(key) != papers.get(key))
    return tuple(key for key in keys if not key.startswith("budget."))


def _settings(run: Run) -> dict[str, Any]:
    return dict(_leaves(run.science))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
