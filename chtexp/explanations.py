"""Hydra's errors as one line that names the choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from chtexp.configuration import ROOT, axes, choices, composed, files_in, one_line
from chtexp.errors import UserError, unknown

SEARCHPATH = "hydra.searchpath="


def explain(error: Exception, root: str = ROOT, overrides: Sequence[str] = ()) -> UserError:
    """Hydra's error as one line that names the choices, such as they are with these overrides."""
    text = str(error)
    if match := re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':", text):
        return _unknown_choice(match[2], match[1].removeprefix(f"{match[2]}/"), root, overrides)
    if match := re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text):
        return unknown("key", match[2], _siblings(match[2], root, overrides))
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown(
            "key or axis", match[1], {*_siblings(match[1], root, overrides), *(axes() if "." not in match[1] else [])}
        )
    if isinstance(error, InterpolationResolutionError) and (
        match := re.search(r"Interpolation key '([^']+)' not found", text)
    ):
        return UserError(f"{error.full_key} is taken from {match[1]}, which is not there: set {error.full_key}")
    if isinstance(error, OverrideParseException):
        return UserError(
            f"cannot read '{error.override}': an override is key=value, e.g. data=mnist or method.zeta=0.2"
        )
    return UserError(one_line(error))


def dotted_choice(overrides: Sequence[str]) -> UserError | None:
    """Of `method.topology=brf`, which gives a part a value, where `method/topology=brf` chooses it by name."""
    for override in overrides:
        key, _, value = override.partition("=")
        if "." in key and (axis := key.replace(".", "/")) in axes():
            return UserError(
                f"{override}: a part is chosen with a slash, {axis}={value}; with a dot, its own keys are set"
            )
    return None


def _unknown_choice(axis: str, name: str, root: str, overrides: Sequence[str]) -> UserError:
    """The choices of the folder that was meant: the one nearest to what was typed, or the one that the data choose from."""
    searchpath = [override for override in overrides if override.startswith(SEARCHPATH)]
    folders = files_in(axis, root, searchpath, folders=True)
    near = get_close_matches(name.rpartition("/")[0], folders, n=1)
    folder = near[0] if near else _folder_of_default(axis, root, overrides)
    return unknown(axis, name, files_in(f"{axis}/{folder}".rstrip("/"), root, searchpath), folder)


def _folder_of_default(axis: str, root: str, overrides: Sequence[str]) -> str:
    """Where the choice on `axis` lies that the other choices make: `transformer` of a method for data=multi30k."""
    others = [override for override in overrides if _chooses_a_group(override) and override.partition("=")[0] != axis]
    try:
        return choices(root, others).get(axis, "").rpartition("/")[0]
    except (HydraException, OmegaConfBaseException, UserError):  # more than one is wrong
        return ""


def _siblings(full_key: str, root: str, overrides: Sequence[str]) -> list[str]:
    """The keys that stand where `full_key` was looked for, in the configuration of the groups that were chosen."""
    chosen = [override for override in overrides if _chooses_a_group(override)]
    try:
        config: Any = composed(root, chosen)
    except (HydraException, OmegaConfBaseException, UserError):  # it is these that are wrong
        config = composed(root, [])
    *parents, _ = full_key.split(".")
    for name in parents:
        config = config.get(name) if isinstance(config, DictConfig) else None
    if not isinstance(config, DictConfig):
        return []
    return [".".join([*parents, str(key)]) for key in config]


def _chooses_a_group(override: str) -> bool:
    key = override.partition("=")[0]
    return override.startswith(SEARCHPATH) or key in axes()
