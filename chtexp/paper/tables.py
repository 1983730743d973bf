"""From a table's name and what a person typed to the table of what is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from chtexp.config.compose import Composer, compose_runs_folder
from chtexp.config.resources import conf_folders
from chtexp.errors import UserError
from chtexp.paper.cells import cell_results
from chtexp.paper.grid import Selection, fullest_first
from chtexp.paper.identities import Identities
from chtexp.paper.numbers import paper_means, paper_numbers
from chtexp.paper.plan import selected
from chtexp.paper.results import Results
from chtexp.report import CellResults, Claim, Layout, MeanOver, Table, build_table
from chtexp.store.collection import merged, read_collection
from chtexp.store.folder import slug

CHANGES_THE_SCIENCE = ("data", "model", "task", "method", "hardware.precision")

Finished = tuple[Table, list[CellResults]]  # a table, and the results that it is made of


def finished_table(
    name: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    collected: Sequence[Path] = (),
    accept: Callable[[str], object] | None = None,
) -> Table:
    """Make a table, at one budget, from the results that there are: those of the run folders, and of collected files.

    The budget is the one asked for, or the fullest that has results.

    Args:
        name: the name of the table.
        overrides: what was typed.
        config_dir: the person's own folder of configuration files.
        collected: files of collected results.
        accept: as of `Results`.

    Returns:
        The table.

    Raises:
        UserError: the name or an override is wrong, no cell fits the overrides, or results cannot be read or contradict each
            other.
    """
    return finished_cells(name, overrides, config_dir, collected, accept)[0]


def finished_cells(
    name: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    collected: Sequence[Path] = (),
    accept: Callable[[str], object] | None = None,
) -> Finished:
    """Make a table as `finished_table` does, and keep the results that it is made of.

    Args:
        name: as for `finished_table`.
        overrides: as for `finished_table`.
        config_dir: as for `finished_table`.
        collected: as for `finished_table`.
        accept: as for `finished_table`.

    Returns:
        The table, and the results that it is made of. A cell of which nothing can be done yet has no id.

    Raises:
        UserError: as of `finished_table`.
    """
    composer = Composer(config_dir)
    first = selected(name, overrides, config_dir).cells[0]
    more = merged({str(path): read_collection(path) for path in collected}, accept)
    results = Results(compose_runs_folder(first.overrides, config_dir), more, accept)
    results.known_by_plugins(lambda: composer.run(first.overrides))  # says so if what was typed is wrong
    return _table(name, overrides, composer, results)


def finished_tables(
    names: Sequence[str], overrides: Sequence[str], config_dir: Path | None, results: Results
) -> dict[str, Finished | UserError]:
    """Make many tables as `finished_cells` makes them.

    Args:
        names: the names of the tables.
        overrides: what was typed.
        config_dir: the person's own folder of configuration files.
        results: the finished results.

    Returns:
        Each table by its name, with the results that it is made of; or the error that says what is wrong with it.
    """
    composer = Composer(config_dir)
    return {name: _table_or_error(name, overrides, composer, results) for name in names}


def _table_or_error(name: str, overrides: Sequence[str], composer: Composer, results: Results) -> Finished | UserError:
    try:
        return _table(name, overrides, composer, results)
    except UserError as error:
        return error


def _table(name: str, overrides: Sequence[str], composer: Composer, results: Results) -> Finished:
    asked = [override for override in overrides if override.startswith("budget=")]
    rest = [override for override in overrides if override not in asked]
    selection = selected(name, rest, composer.config_dir)
    identities = Identities(name, selection.grid, composer)
    budgets = [asked[-1].partition("=")[2]] if asked else _budgets_tried(composer.config_dir, results)
    filled = {
        budget: [
            cell_results(cell, at_budget, identities, results)
            for at_budget in [selected(name, [*rest, f"budget={budget}"], composer.config_dir)]
            for cell in at_budget.cells
        ]
        for budget in budgets
    }
    with_results = [budget for budget, cells in filled.items() if any(cell.results for cell in cells)]
    shown = (with_results or budgets[-1:])[0]
    others = [
        f"There are results at another budget: budget={other} shows them." for other in with_results if other != shown
    ]
    if unread := {cell.id for cell in filled[shown] if cell.unread}:
        others.append(
            f"Trained, but not evaluated on all tasks of the table: {len(unread)} of its runs; chtexp zeroshot RUN."
        )
    changes = [change for change in selection.changes if _changes_the_science(change)]
    if changes:
        others.append(f"The runs differ from the paper's by {' '.join(changes)}, so its values are not shown.")
    table = build_table(
        _layout(name, selection),
        filled[shown],
        {} if changes else paper_numbers(name),
        budget=shown,
        paper_means={} if changes else paper_means(name),
        notes=others,
    )
    damaged = dict.fromkeys(line for cells in filled.values() for cell in cells for line in cell.damaged)
    return replace(table, damaged=tuple(damaged)), filled[shown]


def _changes_the_science(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return any(re.match(rf"{re.escape(part)}($|[./])", key) for part in CHANGES_THE_SCIENCE)


def _budgets_tried(config_dir: Path | None, results: Results) -> list[str]:
    """List the budgets at which anything is done, the fullest first; the last is the paper's, which an empty table is of."""
    known = [path.stem for folder in conf_folders(config_dir) for path in (folder / "budget").glob("*.yaml")]
    done = fullest_first(budget for budget in set(known) if slug(budget) in results.budgets)
    return [*done, "paper"]


def _layout(name: str, selection: Selection) -> Layout:
    grid, groups = selection.grid, dict.fromkeys(cell.group for cell in selection.cells)
    means = _means(selection)
    return Layout(
        name=name,
        title=grid.title,
        columns=tuple(dict.fromkeys(cell.column for cell in selection.cells)),
        groups={group: tuple(dict.fromkeys(c.row for c in selection.cells if c.group == group)) for group in groups},
        reference=grid.reference,
        seeds=len(selection.seeds),
        metric=grid.metric,
        digits=grid.digits,
        means=means,
        claims=_claims(selection, means),
        notes=grid.notes,
    )


def _means(selection: Selection) -> tuple[MeanOver, ...]:
    """The grid's means of which any column was chosen; they count the others as missing."""
    chosen = {(cell.row, cell.column) for cell in selection.cells}
    return tuple(
        MeanOver(name, mean.rows, mean.columns)
        for name, mean in selection.grid.means.items()
        if any(all((row, column) in chosen for row in mean.rows) for column in mean.columns)
    )


def _claims(selection: Selection, means: Sequence[MeanOver]) -> tuple[Claim, ...]:
    """The grid's claims, one by one, of the cells and means that were chosen."""
    chosen = {(cell.row, cell.column) for cell in selection.cells}
    chosen |= {(row, mean.name) for mean in means for row in mean.rows}
    return tuple(
        Claim(above, below, column, claim.exact)
        for claim in selection.grid.claims
        for column in claim.columns
        for above in claim.above
        for below in claim.below
        if {(above, column), (below, column)} <= chosen
    )
