"""The finished results that tables are made of: of run folders and of collected files, by identity, each read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from chtexp.config.plugged import PLUGGED
from chtexp.config.plugins import declared
from chtexp.errors import UserError
from chtexp.store import Damaged, Result
from chtexp.store.collection import Collection, by_identity, merged
from chtexp.store.folder import RunFolder, slug

T = TypeVar("T")
RULES = ("topology", "removal", "regrowth", "density")  # whose names are all that it takes to know a run's identity


class Results:
    """The finished results, at any budget.

    Args:
        runs: the folder of run folders; what lies there comes first.
        more: collected results.
        accept: as of `merged`.
    """

    def __init__(self, runs: Path, more: Collection, accept: Callable[[str], object] | None = None) -> None:
        self.runs = runs
        self._accept = accept
        self._damaged: dict[str, list[Damaged]] = {}
        self._collected: dict[str, Collection] = {}
        for key, result in more.items():
            self._collected.setdefault(key[0], {})[key] = result
        self._found: dict[str, tuple[Result, ...]] = {}

    def of(self, identity: str) -> tuple[Result, ...]:
        """Read the results of a run, of every seed.

        Args:
            identity: the identity of the run.

        Returns:
            The results.

        Raises:
            UserError: two places hold different numbers for a run, as of `merged`.
        """
        if identity not in self._found:
            places = {
                **{str(path): self._here(path, identity) for path in self._folders.get(identity, ())},
                "the collected results": self._collected.get(identity, {}),
            }
            self._found[identity] = tuple(merged(places, self._accept).values())
        return self._found[identity]

    def damaged(self, identity: str) -> tuple[Damaged, ...]:
        """Tell what is wrong with results of a run that cannot be read; they count as not there.

        Args:
            identity: the identity of the run.

        Returns:
            One entry a result that cannot be read.

        Raises:
            UserError: as of `of`.
        """
        self.of(identity)
        return tuple(self._damaged.get(identity, ()))

    def known_by_plugins(self, make: Callable[[], T]) -> T:
        """Compose something; where a plug-in is not here, the rules that it registered are known from the results of its runs.

        Args:
            make: composes it.

        Returns:
            What it makes.

        Raises:
            UserError: it cannot be composed.
        """
        PLUGGED.missed.clear()
        try:
            return make()
        except UserError:
            known = self._known_plugins(PLUGGED.missed)
            if not known:
                raise
        with declared(known):
            return make()

    def _known_plugins(self, missed: AbstractSet[tuple[str, str]]) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The plug-ins that registered rules which are not here: by name, the hash of the source, and what of these rules."""
        wanted = {f"{kind} {name}" for kind, name in missed if kind in RULES}
        known: dict[str, tuple[str, tuple[str, ...]]] = {}
        for name, sha256, registers in self._plugins if wanted else ():
            if not wanted & set(registers):
                continue
            former, titles = known.get(name, (sha256, ()))
            if former != sha256:
                raise UserError(
                    f"there are results of two versions of the plug-in '{name}', which registers {', '.join(sorted(wanted))}: "
                    f"name its file by --plugin (a run has a copy of its own in plugins/)"
                )
            known[name] = (sha256, tuple(sorted({*titles, *registers})))
        return known

    @cached_property
    def _plugins(self) -> frozenset[tuple[str, str, tuple[str, ...]]]:
        """The plug-ins of all runs that are done: name, hash of the source, and what a run used of it."""
        collected = (result for results in self._collected.values() for result in results.values())
        here = (result for name in self._folders for result in self.of(name))
        return frozenset(
            (name, plugin.sha256, tuple(plugin.registers))
            for result in (*collected, *here)
            for name, plugin in result.science.plugins.items()
        )

    def all_damaged(self) -> list[Damaged]:
        """Tell what is wrong with every result that was asked for and cannot be read."""
        return [damage for found in self._damaged.values() for damage in found]

    @cached_property
    def budgets(self) -> frozenset[str]:
        """The budgets at which anything is done, as slugs."""
        found = {path.name.split("-")[-2] for paths in self._folders.values() for path in paths}
        collected = (result for results in self._collected.values() for result in results.values())
        return frozenset(found | {slug(result.budget) for result in collected})

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """The names of the data and of the method of every run that is done, as slugs."""
        parts = [path.name.split("-") for paths in self._folders.values() for path in paths]
        collected = (result for results in self._collected.values() for result in results.values())
        return frozenset(
            {(data, method) for data, method, *_ in parts}
            | {(slug(result.data), slug(result.method)) for result in collected}
        )

    @cached_property
    def _folders(self) -> dict[str, list[Path]]:
        """The folders of runs that are done, <data>-<method>-<budget>-<id>, by identity."""
        found: dict[str, list[Path]] = {}
        for path in sorted({path.parents[1] for path in self.runs.glob("*-*-*-*/seed-*/result.json")}):
            found.setdefault(path.name.rpartition("-")[2], []).append(path)
        return found

    def _here(self, path: Path, identity: str) -> Collection:
        """Read the results in a folder; what lies in a folder of another name than its seed's is a copy, and is passed over."""
        folders = [RunFolder(seed) for seed in sorted(path.glob("seed-*"))]
        return by_identity(
            (result, str(folder.path))
            for folder in folders
            if folder.is_of_a_run
            for result in self._whole(folder, identity)
        )

    def _whole(self, folder: RunFolder, identity: str) -> Iterator[Result]:
        """Read the result in a run's folder, if there is a whole one."""
        try:
            if (result := folder.evaluated()) is not None:
                yield result
        except Damaged as damage:
            self._damaged.setdefault(identity, []).append(damage)
