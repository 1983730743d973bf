"""What is done of a cell of a table: the results of its run, and in what that run is not the paper's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chtexp.compositions import Compositions
from chtexp.done import Done
from chtexp.experiments.description import Run
from chtexp.experiments.grid import Cell, Selection
from chtexp.report import CellResults
from chtexp.store.collection import Collection, Result, by_identity, merged
from chtexp.store.damage import result_damage
from chtexp.store.folder import RunFolder

ANY_BUDGET = ("budget=", "paths.")  # overrides that leave data, model, task, method and precision what they are


@dataclass(frozen=True)
class Evidence:
    """Where tables get their results from.

    more: results besides those in run folders. accept: of `merged`. done: what alone is looked for, since to compose a
    cell's run takes longest. pass_over_damage: of results that cannot be read, instead of raising.
    """

    more: Collection
    accept: Callable[[str], object] | None
    compositions: Compositions
    done: Done
    pass_over_damage: bool = False

    @property
    def config_dir(self) -> Path | None:
        return self.compositions.config_dir

    def cell(self, cell: Cell, selection: Selection) -> CellResults:
        """The results of a cell that are done."""
        if not self.done.may_be(cell.overrides):
            return CellResults(cell.group, cell.row, cell.column, "", ())
        run = self.compositions.run(cell.overrides)
        done = self._results(run, selection)
        shown = selection.grid.shown(cell.row, cell.column, done)
        changed = self._changed(run, cell) if shown else ()
        return CellResults(
            cell.group, cell.row, cell.column, run.id, tuple(shown), unread=len(done) - len(shown), changed=changed
        )

    def _changed(self, run: Run, cell: Cell) -> tuple[str, ...]:
        """In which settings `run` is not the cell's own, as the grid has it at the paper's budget."""
        added = [override for override in cell.overrides if override not in cell.own]
        if not cell.own or all(override.startswith(ANY_BUDGET) for override in added):
            return ()
        mine, papers = (dict(_leaves(other.science)) for other in (run, self.compositions.run(cell.own)))
        keys = sorted(key for key in mine.keys() | papers.keys() if mine.get(key) != papers.get(key))
        return tuple(key for key in keys if not key.startswith("budget."))

    def _results(self, run: Run, selection: Selection) -> tuple[Result, ...]:
        """The results of `run` that are done: those of the seeds asked for, or of every seed."""
        elsewhere = {key: result for key, result in self.more.items() if key[0] == run.id}
        places = {str(run.folder.path.parent): self._here(run), "the collected results": elsewhere}
        return tuple(
            result
            for result in merged(places, self.accept).values()
            if not selection.seeds_asked or result["seed"] in selection.seeds
        )

    def _here(self, run: Run) -> Collection:
        """Those in its folder; what lies in a folder of another name than its seed's is a copy, and passed over."""
        folders = (RunFolder(path) for path in sorted(run.folder.path.parent.glob("seed-*")))
        found = ((folder, self._result(folder)) for folder in folders)
        return by_identity(
            (result, str(folder.path))
            for folder, result in found
            if result is not None and folder.path.name == f"seed-{result['seed']}"
        )

    def _result(self, folder: RunFolder) -> Result | None:
        return None if self.pass_over_damage and result_damage(folder) else folder.evaluated_result()


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
