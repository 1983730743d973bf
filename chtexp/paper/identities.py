"""Which run a cell is of: looked up where the lock knows the cell, composed where a person changed it or made it."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from chtexp.config.compose import Composer
from chtexp.config.resources import conf_dir, conf_folders, read_yaml
from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.paper.grid import Cell, Grid, Overrides, select
from chtexp.paper.lock import Lock, LockedRun, hash_of_grid, read_lock
from chtexp.store.folder import slug

CIRCUMSTANCE = (  # keys that no identity depends on, and the budget, which is looked up by its name
    "budget=",
    "paths.",
    "logger",
    "checkpoint.",
    "overwrite=",
    "plugins=",
    "hardware.device=",
    "hardware.threads=",
    "hardware.execution=",
    "hardware.compile=",
    "hardware.recompute=",
    "hardware.processes=",
    "hardware.nodes=",
)


class Identities:
    """The identities of the cells of one grid.

    Args:
        name: the name of the grid.
        grid: the grid itself.
        composer: composes the runs that are not looked up.
    """

    def __init__(self, name: str, grid: Grid, composer: Composer) -> None:
        self.grid, self.composer = grid, composer
        self._name = name
        self._budgets: dict[str, dict[tuple[str, str], frozenset[str]]] = {}

    def of(self, cell: Cell) -> str:
        """Find the identity of the cell's run.

        Raises:
            UserError: the run cannot be composed.
        """
        return self.looked_up(cell) or self.run(cell).id

    def run(self, cell: Cell) -> Run:
        """Compose the cell's run.

        Raises:
            UserError: the run cannot be composed; the message names the cell where the mistake is in the grid itself.
        """
        try:
            return self.composer.run(cell.overrides)
        except UserError as error:
            if cell.own and not self._composes(cell.own):
                raise UserError(f"paper/{self._name}.yaml, row {cell.row}, column {cell.column}: {error}") from None
            raise

    def _composes(self, overrides: Overrides) -> bool:
        try:
            self.composer.run(overrides)
        except UserError:
            return False
        return True

    def looked_up(self, cell: Cell) -> str | None:
        """Look up the identity of the cell's run in the lock; None for a cell that the lock does not know as it is."""
        if self._lock is None:
            return None
        budget = next((word[len("budget=") :] for word in cell.overrides if word.startswith("budget=")), "paper")
        identity = self._lock.cells[self._name].get(cell.row, {}).get(cell.column, {}).get(budget)
        if identity is None or _science(cell.overrides) != self._as_locked(budget).get((cell.row, cell.column)):
            return None
        return identity

    def locked(self, identity: str) -> LockedRun | None:
        """Look up what the lock knows of a run; None where it does not know the run."""
        return self._lock.runs.get(identity) if self._lock else None

    @cached_property
    def _lock(self) -> Lock | None:
        """The lock; None where it does not have this very grid."""
        of_another = any((folder / "paper" / f"{self._name}.yaml").exists() for folder in self._own_folders())
        lock = None if of_another else read_lock()
        return lock if lock and lock.grids.get(self._name) == hash_of_grid(self.grid) else None

    def _own_folders(self) -> list[Path]:
        return [folder for folder in conf_folders(self.composer.config_dir) if folder != conf_dir()]

    def _as_locked(self, budget: str) -> dict[tuple[str, str], frozenset[str]]:
        if budget not in self._budgets:
            cells = select(self.grid, [f"budget={budget}"]).cells
            self._budgets[budget] = {(cell.row, cell.column): _science(cell.overrides) for cell in cells}
        return self._budgets[budget]

    def could_be(self, cell: Cell, names: Collection[tuple[str, str]]) -> bool:
        """Tell whether the cell's run may be of data and a method of certain names.

        Args:
            cell: the cell.
            names: pairs of a name of data and a name of a method, as slugs.

        Returns:
            False only where the run certainly is of none of these pairs.
        """
        if any(word.lstrip("+~").startswith(("data.name=", "method.name=")) for word in cell.overrides):
            return bool(names)
        data, method = (self._name_on("data", cell), self._name_on("method", cell))
        return any(data in (None, its) and method in (None, own) for its, own in names)

    def _name_on(self, axis: str, cell: Cell) -> str | None:
        """Read, as a slug, the name in the file that the cell chooses on an axis; None where the file gives none."""
        choice = next((word.partition("=")[2] for word in cell.overrides if word.startswith(f"{axis}=")), None)
        paths = (folder / axis / f"{choice}.yaml" for folder in conf_folders(self.composer.config_dir))
        path = next((path for path in paths if path.is_file()), None)
        content = read_yaml(path) if path else {}
        described = content.get(axis, content)
        name = described.get("name") if isinstance(described, dict) else None
        return None if name is None or "${" in str(name) else slug(str(name))


def _science(overrides: Overrides) -> frozenset[str]:
    return frozenset(word for word in overrides if not word.startswith(CIRCUMSTANCE))
