"""From the command line's overrides to one frozen Run: the only place, with the launcher, that knows Hydra."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from chtexp.configuration import ROOT, composed
from chtexp.errors import UserError
from chtexp.explanations import dotted_choice, explain
from chtexp.launch.settings import SweepSettings, describe_sweep

if TYPE_CHECKING:
    from chtexp.experiments.description import Run

T = TypeVar("T")


def compose_run(overrides: Sequence[str], config_dir: Path | None = None) -> Run:
    """The run that `overrides` (Hydra's syntax, without sweeps) describe.

    config_dir: a folder of further configuration files, laid out as `conf/`.
    Raises UserError for anything a person may have typed wrong.
    """
    return _explained(run_of, overrides, config_dir)


def compose_runs_folder(overrides: Sequence[str], config_dir: Path | None = None) -> Path:
    """Where the runs are that `overrides` describe: `compose_run(...).paths.runs`, without loading what trains them."""
    return _explained(_runs_folder, overrides, config_dir)


def _runs_folder(config: DictConfig) -> Path:
    runs = OmegaConf.select(config, "paths.runs")
    if not isinstance(runs, str) or not runs:
        raise UserError(f"paths.runs must name a folder, e.g. paths.runs=runs, not {runs!r}")
    return Path(runs)


def _explained(make: Callable[[DictConfig], T], overrides: Sequence[str], config_dir: Path | None) -> T:
    """What `make` makes of the composed configuration; Hydra's errors as a UserError."""
    try:
        return make(compose_choices(overrides, config_dir))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, ROOT, [*_searchpath(config_dir), *overrides]) from None
    except UserError as error:
        raise dotted_choice(overrides) or error from None
    except YAMLError as error:
        raise UserError(f"a configuration file is no YAML: {' '.join(str(error).split())}") from None


def compose_choices(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration that `overrides` describe; raises Hydra's own errors."""
    return composed(ROOT, [*_searchpath(config_dir), *overrides])


def _searchpath(config_dir: Path | None) -> list[str]:
    return [f"hydra.searchpath=[{quoted('file://' + str(config_dir.resolve()))}]"] if config_dir else []


def quoted(value: str) -> str:
    """`value` as a string of Hydra's override syntax, whatever stands in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def train_command(overrides: Sequence[str], config_dir: Path | None = None) -> str:
    """What to type for one run; how a former start was told to begin anew is no part of it."""
    where = ["--config-dir", str(config_dir)] if config_dir else []
    kept = [override for override in overrides if not override.startswith("overwrite=")]
    return shlex.join(["chtexp", "train", *where, *kept])


def check_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> list[Run]:
    """Every run of the Cartesian product that Hydra's sweep syntax asks for; raises UserError as `compose_run`."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        own = [override for override in parsed if not override.is_hydra_override()]
        for_hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
        batches = BasicSweeper.split_arguments(own, None)
    except HydraException as error:
        raise explain(error) from None
    return [compose_run([*for_hydra, *arguments], config_dir) for batch in batches for arguments in batch]


def compose_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> SweepSettings:
    """Who carries out a sweep, and when it gives up, by `overrides` (`launcher=...`, `launcher.KEY=...`, `max_failures=...`)."""
    searchpath = _searchpath(config_dir)
    try:
        config = composed("sweep", [*searchpath, *overrides])
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, "sweep", [*searchpath, *overrides]) from None
    return describe_sweep({key: value for key, value in values.items() if key != "hydra"})


def run_of(config: DictConfig) -> Run:
    """The run that a composed configuration describes."""
    from chtexp.experiments.description import describe_run  # loads torch, which not everybody here needs
    from chtexp.experiments.fit import check_parts

    chosen: Any = OmegaConf.to_container(config)
    check_parts(chosen)  # before a model looks for widths that its data do not have
    try:
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from None
    values.pop("hydra", None)
    return describe_run(values)
