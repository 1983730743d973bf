"""From a table's name and what a person typed to the runs of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chtexp.config.compose import Composer
from chtexp.config.resources import conf_folders
from chtexp.config.run import Run
from chtexp.cost.count import Cost, cost
from chtexp.errors import UserError
from chtexp.paper.grid import Cell, Selection, load_grid, select
from chtexp.paper.identities import Identities
from chtexp.paper.lock import Stale
from chtexp.store import RunFolder


@dataclass(frozen=True)
class PlannedRun:
    """One run of a cell: what to type for it, and what it is.

    Attributes:
        cell: the cell.
        seed: the seed of the run.
        id: the identity of the run.
        identities: the identities of the table's cells.
        runs: the folder of run folders.
        overwrite: whether a run that is done is trained again.
    """

    cell: Cell
    seed: int
    id: str
    identities: Identities
    runs: Path
    overwrite: bool

    @property
    def overrides(self) -> list[str]:
        """The overrides that describe the run, with its seed."""
        return [*self.cell.overrides, f"seed={self.seed}"]

    @cached_property
    def run(self) -> Run:
        """The description of the run, composed when it is asked for.

        Raises:
            Stale: the lock names another identity.
        """
        run = self.identities.run(self.cell).model_copy(update={"seed": self.seed})
        if run.id != self.id:
            raise Stale(self.id, run.id)
        return run

    @property
    def budget(self) -> str:
        """The name of the run's budget."""
        locked = self.identities.locked(self.id)
        return locked.budget if locked else self.run.budget.name

    @property
    def folder(self) -> RunFolder:
        """The folder of the run."""
        locked = self.identities.locked(self.id)
        if locked is None:
            return self.run.folder
        return RunFolder.of(self.runs, (locked.data, locked.method, locked.budget), self.id, self.seed)

    @property
    def cost(self) -> Cost:
        """What the run costs.

        Raises:
            UserError: its description cannot be trained, or its data are not prepared.
        """
        locked = self.identities.locked(self.id)
        return (locked and locked.known_cost()) or cost(self.run)


def plan_runs(name: str, overrides: Sequence[str], config_dir: Path | None) -> list[PlannedRun]:
    """Plan the runs of a table, or of the part of it that overrides choose.

    Args:
        name: the name of the table.
        overrides: what was typed.
        config_dir: the person's own folder of configuration files.

    Returns:
        Every run once; cells may share runs.

    Raises:
        UserError: the name or an override is wrong, or no cell fits the overrides.
    """
    selection = selected(name, overrides, config_dir)
    composer = Composer(config_dir)
    identities = Identities(name, selection.grid, composer)
    first = identities.run(selection.cells[0])  # says so if what was typed is wrong
    planned: dict[tuple[str, int], PlannedRun] = {}
    for cell in selection.cells:
        identity = identities.of(cell)
        for seed in selection.seeds:
            planned.setdefault(
                (identity, seed), PlannedRun(cell, seed, identity, identities, first.paths.runs, first.overwrite)
            )
    return list(planned.values())


def selected(name: str, overrides: Sequence[str], config_dir: Path | None) -> Selection:
    """Choose the cells of a table that overrides ask for.

    Args:
        name: the name of the table.
        overrides: what was typed.
        config_dir: the person's own folder of configuration files.

    Returns:
        The chosen cells and seeds.

    Raises:
        UserError: the name or an override is wrong, or no cell fits the overrides.
    """
    folders = conf_folders(config_dir)
    selection = select(load_grid(name, folders), overrides, folders)
    if not selection.cells:
        raise UserError(f"no cell of table '{name}' fits {' '.join(overrides)}")
    return selection
