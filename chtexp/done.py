"""What is done at all: which cells of a table need a look, since to compose a cell's configuration takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chtexp.errors import UserError
from chtexp.experiments.likeness import could_be
from chtexp.store import RunFolder
from chtexp.store.collection import Collection
from chtexp.store.folder import slug

Science = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """sciences: what every finished run is of, once each; None of results that cannot be read. budgets: as slugs.

    conf: where configuration is looked for.
    """

    sciences: tuple[Science | None, ...]
    budgets: frozenset[str]
    conf: tuple[Path, ...]

    @classmethod
    def of(cls, runs: Path, more: Collection, conf: Sequence[Path]) -> Done:
        """What lies below the folder of runs, and in collected results."""
        seeds: dict[str, list[Path]] = {}
        for path in sorted(runs.glob("*-*-*-*/seed-*/result.json")):
            seeds.setdefault(path.parent.parent.name, []).append(path.parent)
        found = {name: _science(folders) for name, folders in seeds.items()}
        found |= {identity: result["science"] for (identity, _), result in more.items()}
        budgets = {name.split("-")[-2] for name in seeds} | {slug(str(result["budget"])) for result in more.values()}
        return cls(tuple(found.values()), frozenset(budgets), tuple(conf))

    def readable(self) -> Done:
        """Without the results that cannot be read."""
        return Done(tuple(science for science in self.sciences if science is not None), self.budgets, self.conf)

    def may_be(self, overrides: Sequence[str]) -> bool:
        """Whether a run of `overrides` may be done; False only where it certainly is not."""
        return any(science is None or could_be(science, overrides, self.conf) for science in self.sciences)


def _science(folders: Iterable[Path]) -> Science | None:
    """Of runs that differ in seeds alone, by the first result that can be read."""
    for folder in folders:
        try:
            result = RunFolder(folder).read_result()
        except (UserError, OSError, UnicodeDecodeError):
            continue
        science = result.get("science") if isinstance(result, Mapping) else None
        if isinstance(science, Mapping):
            return science
    return None
