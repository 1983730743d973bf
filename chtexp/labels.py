"""What was ever begun, by the names that run folders carry: which cells of a table need a look at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from chtexp.store.collection import Collection
from chtexp.store.folder import slug

AXES = ("data", "method", "budget")


@dataclass(frozen=True)
class Labels:
    """begun: names of data, method and budget, as slugs, of every run there is. conf: where configuration is looked for."""

    begun: frozenset[tuple[str, ...]]
    conf: tuple[Path, ...]

    @classmethod
    def of(cls, runs: Path, more: Collection, conf: Sequence[Path]) -> Labels:
        """Those of the run folders below `runs`, and of collected results."""
        folders = {tuple(path.parent.name.split("-")[:-1]) for path in runs.glob("*-*-*-*/seed-*")}
        collected = {tuple(slug(str(result[axis])) for axis in AXES) for result in more.values()}
        return cls(frozenset(folders | collected), tuple(conf))

    @property
    def budgets(self) -> set[str]:
        return {labels[-1] for labels in self.begun}

    def may_be(self, overrides: Sequence[str]) -> bool:
        """Whether a run of `overrides` may have been begun; False only where it certainly was not."""
        asked = [self._name(axis, overrides) for axis in AXES]
        return any(
            len(labels) == len(asked) and all(want in (None, has) for want, has in zip(asked, labels, strict=True))
            for labels in self.begun
        )

    def _name(self, axis: str, overrides: Sequence[str]) -> str | None:
        """The slug that the run's folder has for `axis`; None where only composing the run can tell."""
        settings = {key.lstrip("+~"): value for key, _, value in (word.partition("=") for word in overrides)}
        if axis not in settings or f"{axis}.name" in settings:
            return None
        paths = (folder / axis / f"{settings[axis]}.yaml" for folder in self.conf)
        return next((_name_in(path, axis) for path in paths if path.exists()), None)


@lru_cache
def _name_in(path: Path, axis: str) -> str | None:
    """The name that a file of configuration gives, in its own package or from the root's."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return None
    inner = content.get(axis) if isinstance(content, dict) else None
    places = [place for place in (content, inner) if isinstance(place, dict)]
    names = [place["name"] for place in places if isinstance(place.get("name"), str)]
    return slug(names[-1]) if names else None
