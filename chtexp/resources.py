"""Where the configuration files lie: beside the package in a clone, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from chtexp.errors import UserError


def conf_dir() -> Path:
    """The folder of the Hydra configuration (`conf/`)."""
    package = Path(__file__).resolve().parent
    inside, beside = package / "conf", package.parent / "conf"
    return inside if inside.is_dir() else beside


def conf_folders(config_dir: Path | None) -> list[Path]:
    """Where configuration files are looked for: the person's own folder first."""
    return [*([config_dir] if config_dir else []), conf_dir()]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises UserError naming the file and the place of a mistake in it."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, not {type(values).__name__}")
    return values
