"""From the command line's overrides to one frozen Run: the only place, with the launcher, that knows Hydra."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from chtexp.errors import UserError, unknown
from chtexp.launch.settings import SweepSettings, describe_sweep
from chtexp.resources import conf_dir

if TYPE_CHECKING:
    from chtexp.experiments.description import Run

ROOT = "train"
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
    except YAMLError as error:
        raise UserError(f"a configuration file is no YAML: {' '.join(str(error).split())}") from None


def compose_choices(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration that `overrides` describe; raises Hydra's own errors."""
    return _composed(ROOT, [*_searchpath(config_dir), *overrides])


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


def _composed(root: str, overrides: list[str]) -> DictConfig:
    """Compose a root configuration, also inside a Hydra job: its own state is set aside meanwhile."""
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            return compose(root, overrides=overrides)
    except (ValueError, TypeError, AttributeError, AssertionError, LookupError) as error:
        # of Hydra itself, which checks some of what is typed with these
        raise UserError(f"cannot compose {' '.join(overrides)}: {one_line(error)}") from None
    finally:
        state.hydra = outer


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
        config = _composed("sweep", [*searchpath, *overrides])
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, "sweep", [*searchpath, *overrides]) from None
    return describe_sweep({key: value for key, value in values.items() if key != "hydra"})


def run_of(config: DictConfig) -> Run:
    """The run that a composed configuration describes."""
    from chtexp.experiments.description import describe_run  # loads torch, which not everybody here needs

    try:
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from None
    values.pop("hydra", None)
    return describe_run(values)


def explain(error: Exception, root: str = ROOT, overrides: Sequence[str] = ()) -> UserError:
    """Hydra's error as one line that names the choices, such as they are with these overrides."""
    text = str(error)
    if match := re.search(
        r"Could not find '([^']+)'\s+Available options in '([^']+)':\s*(.*?)(?:Config search path|$)",
        text,
        re.DOTALL,
    ):
        return unknown(match[2], match[1].rpartition("/")[2], match[3].split())
    if match := re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text):
        return unknown("key", match[2], _siblings(match[2], root, overrides))
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown(
            "key or axis", match[1], {*_siblings(match[1], root, overrides), *(axes() if "." not in match[1] else [])}
        )
    if isinstance(error, OverrideParseException):
        return UserError(
            f"cannot read '{error.override}': an override is key=value, e.g. data=mnist or method.zeta=0.2"
        )
    return UserError(one_line(error))


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return re.sub(r"\s+", " ", str(error)).strip()


def axes() -> list[str]:
    """The configuration groups: data, model, method, method/topology, ..."""
    root = conf_dir()
    groups = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.yaml")} - {".", "paper"}
    return sorted(groups)


def _siblings(full_key: str, root: str, overrides: Sequence[str]) -> list[str]:
    """The keys that stand where `full_key` was looked for, in the configuration of the groups that were chosen."""
    chosen = [override for override in overrides if _chooses_a_group(override)]
    try:
        config: Any = _composed(root, chosen)
    except (HydraException, OmegaConfBaseException, UserError):  # it is these that are wrong
        config = _composed(root, [])
    *parents, _ = full_key.split(".")
    for name in parents:
        config = config.get(name) if isinstance(config, DictConfig) else None
    if not isinstance(config, DictConfig):
        return []
    return [".".join([*parents, str(key)]) for key in config]


def _chooses_a_group(override: str) -> bool:
    key = override.partition("=")[0]
    return key == "hydra.searchpath" or key in axes()
