"""What Hydra makes of the files below conf/: composed configurations, and the names of their axes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig

from chtexp.config.resources import conf_dir
from chtexp.errors import UserError

ROOT = "train"  # of a single run


def composed(root: str, overrides: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """Compose a root configuration.

    Args:
        root: its name in `conf/`.
        overrides: in Hydra's syntax.
        with_hydra: whether Hydra's own part is kept.

    Raises:
        HydraException, OmegaConfBaseException: Hydra's own errors about what was typed.
        UserError: what Hydra reports by other errors.
    """
    try:
        with _hydra():
            return compose(root, overrides=at_home(overrides), return_hydra_config=with_hydra)
    except (ValueError, TypeError, AttributeError, AssertionError, LookupError) as error:
        # of Hydra itself, which checks some of what is typed with these
        raise UserError(f"cannot compose {' '.join(overrides)}: {one_line(error)}") from None


def at_home(overrides: Sequence[str]) -> list[str]:
    """Put the home folder in the place of `~/` at the beginning of a value, which Hydra cannot read.

    Args:
        overrides: in Hydra's syntax.
    """
    home = os.path.expanduser("~").replace("\\", "\\\\")
    return [re.sub(r"(?<=[=,\[])~(?=/|$)", home, override) for override in overrides]


def choices(root: str, overrides: Sequence[str]) -> dict[str, str]:
    """List what overrides choose on every axis, themselves or by what they choose elsewhere.

    Args:
        root: the root configuration.
        overrides: in Hydra's syntax.

    Returns:
        The chosen file by axis.

    Raises:
        HydraException, OmegaConfBaseException, UserError: as `composed`.
    """
    chosen = composed(root, overrides, with_hydra=True).hydra.runtime.choices
    return {str(axis): str(choice) for axis, choice in chosen.items()}


def files_in(folder: str, root: str, searchpath: Sequence[str], *, folders: bool = False) -> list[str]:
    """List the configuration files, or the folders, that may be chosen in a folder of conf/, or of a person's own.

    Args:
        folder: below the root of the configuration.
        root: the root configuration.
        searchpath: overrides of Hydra's search path.
        folders: whether folders are listed instead of files.
    """
    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(
            folder, ObjectType.GROUP if folders else ObjectType.CONFIG, config_name=root, overrides=list(searchpath)
        )


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra at work on conf/, also inside a Hydra job: its own state is set aside meanwhile."""
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            yield
    finally:
        state.hydra = outer


def one_line(error: Exception) -> str:
    """The message of an error on one line."""
    return re.sub(r"\s+", " ", str(error)).strip()
