"""Whether a result could be a cell's, told without composing the cell's configuration, which takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from chtexp.resources import read_yaml

EVERYWHERE = "# @package _global_"  # the first line of a file whose keys stand below no axis


def could_be(science: Mapping[str, Any], overrides: Sequence[str], folders: Sequence[Path]) -> bool:
    """False where a result of this `science` is certainly none of a run with these `overrides`; True needs a closer look.

    folders: where configuration files are looked for, the first one first.
    """
    return all(_may_be(_at(science, key), value) for key, value in _said(tuple(overrides), tuple(folders)).items())


@cache
def _said(overrides: tuple[str, ...], folders: tuple[Path, ...]) -> dict[str, Any]:
    """What `overrides` say of single values, by dotted keys: themselves, and in the files that they choose."""
    said: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for key, _, value in (override.partition("=") for override in overrides):
        fields = _fields(key, value, folders)
        if fields is None:
            values[key] = _read(value)
            continue
        for (
            name,
            content,
        ) in fields.items():  # of two files that say different things, which one counts is not told here
            said[name] = content if said.get(name, content) == content else None
    return said | values


@cache
def _fields(axis: str, choice: str, folders: tuple[Path, ...]) -> dict[str, Any] | None:
    """The values in the file that is chosen on an axis, by dotted keys; None of what is no axis."""
    known = (folder / axis for folder in folders if (folder / axis).is_dir())
    path = next((path for place in known if (path := place / f"{choice}.yaml").exists()), None)
    if path is None:
        return None
    package = "" if path.read_text().startswith(EVERYWHERE) else axis.replace("/", ".")
    content = {key: value for key, value in read_yaml(path).items() if key != "defaults"}
    return dict(_leaves(package, content))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value


def _read(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return None


def _at(science: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        science = science.get(name) if isinstance(science, Mapping) else None
    return science


def _may_be(known: Any, said: Any) -> bool:
    """Whether a value that was written as `said` may have become `known`."""
    if isinstance(known, int | float) and isinstance(said, int | float):
        return known == said
    if isinstance(known, str) and isinstance(said, str) and "${" not in said:
        return known == said
    return True
