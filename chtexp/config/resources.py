"""Where the configuration files lie: beside the package in a clone, inside it in an installed wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from chtexp.errors import UserError


def conf_dir() -> Path:
    """The folder of the Hydra configuration (`conf/`)."""
    package = Path(__file__).resolve().parents[1]
    inside, beside = package / "conf", package.parent / "conf"
    return inside if inside.is_dir() else beside


def conf_folders(config_dir: Path | None) -> list[Path]:
    """The folders in which configuration files are looked for: the person's own first."""
    return [*([config_dir] if config_dir else []), conf_dir()]


def axes() -> list[str]:
    """List the configuration groups: data, model, method, method/topology, ..."""
    root = conf_dir()
    groups = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.yaml")} - {".", "paper"}
    return sorted(groups)


def read_yaml(path: Path) -> dict[str, object]:
    """Read the mapping in a YAML file.

    Raises:
        UserError: the file is no YAML, or holds no mapping; the message names the file and the place.
    """
    try:
        with path.open("rb") as file:  # libyaml, where it is there, reads ten times faster
            values = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, not {type(values).__name__}")
    return values


def defaults_in(values: Mapping[str, object]) -> list[object]:
    """The entries of the defaults list of a configuration file; none where it has no such list.

    Args:
        values: what the file holds.

    Raises:
        UserError: `defaults` is something else than a list.
    """
    defaults = values.get("defaults", [])
    if not isinstance(defaults, list):
        raise UserError(f"defaults must be a list of choices, as in conf/method/set.yaml, not {defaults!r}")
    return defaults
