"""Hydra's errors as one line that names the choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from chtexp.config.reader import ROOT, choices, composed, files_in, one_line
from chtexp.config.resources import axes
from chtexp.errors import UserError, unknown

SEARCHPATH = "hydra.searchpath="


def explain(error: Exception, root: str = ROOT, overrides: Sequence[str] = ()) -> UserError:
    """Turn Hydra's error into one line that names the choices.

    Args:
        error: as Hydra or OmegaConf raised it.
        root: the root configuration that was composed.
        overrides: that it was composed with; they decide which choices there are.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _unknown_choice(error.missing_cfg_file, error.options, root, overrides)
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and error.full_key:
        return unknown("key", error.full_key, _siblings(error.full_key, root, overrides))
    text = str(error)  # these keep what was typed in no field
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown(
            "key or axis", match[1], {*_siblings(match[1], root, overrides), *(axes() if "." not in match[1] else [])}
        )
    if isinstance(error, InterpolationResolutionError) and (
        match := re.search(r"Interpolation key '([^']+)' not found", text)
    ):
        return UserError(f"{error.full_key} is taken from {match[1]}, which is not there: set {error.full_key}")
    if match := re.match(r"Ambiguous value for argument '([^']+)'", text):
        return UserError(
            f"'{match[1]}' gives several values where one belongs; chtexp sweep and chtexp train -m train several runs, "
            "and a list stands in brackets: key=[a,b]"
        )
    if isinstance(error, OverrideParseException):
        return UserError(
            f"cannot read '{error.override}': an override is key=value, e.g. data=mnist or method.zeta=0.2"
        )
    return UserError(one_line(error))


def dotted_choice(overrides: Sequence[str]) -> UserError | None:
    """Find an override such as `method.topology=brf`, where `method/topology=brf` chooses a part by name.

    Returns:
        The error that says so; None where no override is of this kind.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if "." in key and (axis := key.replace(".", "/")) in axes():
            return UserError(
                f"{override}: a part is chosen with a slash, {axis}={value}; with a dot, its own keys are set"
            )
    return None


def _unknown_choice(missing: str, options: Sequence[str], root: str, overrides: Sequence[str]) -> UserError:
    """The choices of the folder that was meant: the one nearest to what was typed, or the one that the data choose from.

    missing: the axis and what was chosen on it, `method/transformer/sett`. options: what may be chosen on that axis.
    """
    searchpath = [override for override in overrides if override.startswith(SEARCHPATH)]
    parts = missing.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts))]
    axis = next((folder for folder in above if files_in(folder, root, searchpath) == list(options)), above[-1])
    name = missing.removeprefix(f"{axis}/")
    folders = files_in(axis, root, searchpath, folders=True)
    near = get_close_matches(name.rpartition("/")[0], folders, n=1)
    folder = near[0] if near else _folder_of_default(axis, root, overrides)
    known = unknown(axis, name, files_in(f"{axis}/{folder}".rstrip("/"), root, searchpath), folder)
    return known if searchpath else UserError(f"{known}; a file of your own needs its folder: --config-dir FOLDER")


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
        config: object = composed(root, chosen)
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
