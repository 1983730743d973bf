"""From a table's name and what a person typed to the runs of its cells, and to the table of what is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chtexp.cells import Evidence
from chtexp.compositions import Compositions
from chtexp.done import Done
from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.grid import Cell, Selection, fullest_first, load_grid, select
from chtexp.report import (
    CellResults,
    Claim,
    Layout,
    MeanOver,
    Table,
    build_table,
    paper_means,
    paper_numbers,
)
from chtexp.resources import conf_folders
from chtexp.store.collection import Collection, merged, read_collection
from chtexp.store.folder import slug

CHANGES_THE_SCIENCE = ("data", "model", "task", "method", "hardware.precision")

Finished = tuple[Table, list[CellResults]]  # a table, and the results that it is made of


@dataclass(frozen=True)
class PlannedRun:
    """One run of a cell: what to type for it, and what it is."""

    cell: Cell
    seed: int
    run: Run

    @property
    def overrides(self) -> list[str]:
        return [*self.cell.overrides, f"seed={self.seed}"]


def plan_runs(name: str, overrides: Sequence[str], config_dir: Path | None) -> list[PlannedRun]:
    """Every run of the table `name`, or of the part of it that `overrides` choose."""
    selection = _selection(name, overrides, config_dir)
    compositions = Compositions(config_dir)
    planned = [
        PlannedRun(cell, seed, run.model_copy(update={"seed": seed}))
        for cell in selection.cells
        for run in [compositions.run(cell.overrides)]
        for seed in selection.seeds
    ]
    return list({(item.run.id, item.seed): item for item in reversed(planned)}.values())[::-1]  # cells may share runs


def finished_table(
    name: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    collected: Sequence[Path] = (),
    accept: Callable[[str], object] | None = None,
) -> Table:
    """The table `name` from the results there are, at one budget: those of the run folders, and of `collected` files.

    The budget is the one asked for, or the fullest that has results. accept: of `merged`; run folders come first.
    """
    return finished_cells(name, overrides, config_dir, collected, accept)[0]


def finished_cells(
    name: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    collected: Sequence[Path] = (),
    accept: Callable[[str], object] | None = None,
) -> Finished:
    """`finished_table`, and the results that it is made of. A cell of which nothing is done has no id."""
    more = merged({str(path): read_collection(path) for path in collected}, accept)
    compositions = Compositions(config_dir)
    first = _selection(name, overrides, config_dir).cells[0]
    runs = compositions.run(first.overrides).paths.runs
    done = Done.of(runs, more, conf_folders(config_dir))
    return _table(name, overrides, Evidence(more, accept, compositions, done))


def finished_tables(
    names: Sequence[str],
    overrides: Sequence[str],
    config_dir: Path | None,
    runs: Path,
    more: Collection,
    accept: Callable[[str], object] | None = None,
) -> dict[str, Finished | UserError]:
    """Many tables as `finished_cells` makes them, or what is wrong with one.

    runs: where run folders are; more: collected results. Results that cannot be read are passed over.
    """
    done = Done.of(runs, more, conf_folders(config_dir)).readable()
    evidence = Evidence(more, accept, Compositions(config_dir), done, pass_over_damage=True)
    return {name: _table_or_error(name, overrides, evidence) for name in names}


def _table_or_error(name: str, overrides: Sequence[str], evidence: Evidence) -> Finished | UserError:
    try:
        return _table(name, overrides, evidence)
    except UserError as error:
        return error


def _table(name: str, overrides: Sequence[str], evidence: Evidence) -> Finished:
    asked = [override for override in overrides if override.startswith("budget=")]
    rest = [override for override in overrides if override not in asked]
    budgets = [asked[-1].partition("=")[2]] if asked else _budgets_tried(evidence)
    filled = {budget: _cells(name, [*rest, f"budget={budget}"], evidence) for budget in budgets}
    with_results = [budget for budget, cells in filled.items() if any(cell.results for cell in cells)]
    shown = (with_results or budgets)[0]
    others = [
        f"There are results at another budget: budget={other} shows them." for other in with_results if other != shown
    ]
    if unread := {cell.id for cell in filled[shown] if cell.unread}:
        others.append(
            f"Trained, but not evaluated on all tasks of the table: {len(unread)} of its runs; chtexp zeroshot RUN."
        )
    selection = _selection(name, rest, evidence.config_dir)
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
    return table, filled[shown]


def _changes_the_science(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return any(re.match(rf"{re.escape(part)}($|[./])", key) for part in CHANGES_THE_SCIENCE)


def _cells(name: str, overrides: Sequence[str], evidence: Evidence) -> list[CellResults]:
    selection = _selection(name, overrides, evidence.config_dir)
    return [evidence.cell(cell, selection) for cell in selection.cells]


def _selection(name: str, overrides: Sequence[str], config_dir: Path | None) -> Selection:
    folders = conf_folders(config_dir)
    selection = select(load_grid(name, folders), overrides, folders)
    if not selection.cells:
        raise UserError(f"no cell of table '{name}' fits {' '.join(overrides)}")
    return selection


def _budgets_tried(evidence: Evidence) -> list[str]:
    """Budgets at which anything is done, the fullest first; the paper's if nothing is."""
    known = [path.stem for folder in conf_folders(evidence.config_dir) for path in (folder / "budget").glob("*.yaml")]
    found = {budget for budget in known if slug(budget) in evidence.done.budgets}
    return fullest_first(found) or ["paper"]


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
