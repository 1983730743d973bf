"""From the command line's overrides to one frozen Run: the only place, with the launcher, that knows Hydra."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from chtexp.config.compatibility import check_parts
from chtexp.config.explanations import dotted_choice, explain
from chtexp.config.launcher import SweepSettings, describe_sweep
from chtexp.config.own_images import Images, are_own_images, measured_images, measured_once
from chtexp.config.plugins import load_plugins, plugins_named
from chtexp.config.reader import ROOT, composed
from chtexp.config.run import Paths, Run, describe_run
from chtexp.config.typed import describe
from chtexp.errors import UserError

T = TypeVar("T")


def compose_run(overrides: Sequence[str], config_dir: Path | None = None) -> Run:
    """Compose the run that overrides describe.

    Args:
        overrides: in Hydra's syntax, without sweeps.
        config_dir: a folder of further configuration files, laid out as `conf/`.

    Raises:
        UserError: anything a person may have typed wrong.
    """
    return _explained(run_of, overrides, config_dir)


class Composer:
    """Composes many runs as `compose_run` does. Files that several runs choose together are composed once.

    Args:
        config_dir: as for `compose_run`.
    """

    def __init__(self, config_dir: Path | None = None) -> None:
        self.config_dir = config_dir
        self._of_choices: dict[tuple[str, ...], DictConfig] = {}
        self._images = measured_once()

    def run(self, overrides: Sequence[str]) -> Run:
        """Compose the run that overrides describe.

        Args:
            overrides: in Hydra's syntax, without sweeps.

        Raises:
            UserError: anything a person may have typed wrong.
        """
        values = [override for override in overrides if _is_value(override)]
        choices = tuple(override for override in overrides if override not in values)
        if any("{" in choice.partition("=")[2] for choice in choices):  # values of several keys, whose place matters
            return compose_run(overrides, self.config_dir)
        try:
            if choices not in self._of_choices:
                self._of_choices[choices] = composed(ROOT, [*_searchpath(self.config_dir), *choices])
            config = copy.deepcopy(self._of_choices[choices])
            for override in OverridesParser.create().parse_overrides(values):
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            return run_of(config, self._images)
        except (HydraException, OmegaConfBaseException, UserError):
            return compose_run(overrides, self.config_dir)  # which says what is wrong


def _is_value(override: str) -> bool:
    """Whether it changes one value inside a configuration, as Hydra does once all files are merged."""
    key = override.partition("=")[0]
    return "." in key and key[0].isalpha() and "/" not in key and "@" not in key and not key.startswith("hydra.")


def compose_chosen_run(overrides: Sequence[str], config_dir: Path | None = None) -> tuple[Run, str]:
    """Compose a run, and tell which file of conf/method was chosen.

    Args:
        overrides: as for `compose_run`.
        config_dir: as for `compose_run`.

    Returns:
        The run, and the method's file: `set`, `llama/set`.

    Raises:
        UserError: anything a person may have typed wrong.
    """

    def chosen(config: DictConfig) -> tuple[Run, str]:
        method = str(config.hydra.runtime.choices["method"])
        with open_dict(config):
            del config["hydra"]
        return run_of(config), method

    return _explained(chosen, overrides, config_dir, with_hydra=True)


def compose_runs_folder(overrides: Sequence[str], config_dir: Path | None = None) -> Path:
    """Find the folder of the runs that overrides describe: `compose_run(...).paths.runs`, without describing the whole run.

    Args:
        overrides: as for `compose_run`.
        config_dir: as for `compose_run`.

    Raises:
        UserError: `paths.runs` names no folder, or an override is wrong.
    """
    return _explained(_runs_folder, overrides, config_dir)


def _runs_folder(config: DictConfig) -> Path:
    runs = OmegaConf.select(config, "paths.runs")
    if not isinstance(runs, str) or not runs:
        raise UserError(f"paths.runs must name a folder, e.g. paths.runs=runs, not {runs!r}")
    return Path(runs)


def _explained(
    make: Callable[[DictConfig], T], overrides: Sequence[str], config_dir: Path | None, *, with_hydra: bool = False
) -> T:
    """What `make` makes of the composed configuration; Hydra's errors as a UserError."""
    try:
        return make(composed(ROOT, [*_searchpath(config_dir), *overrides], with_hydra=with_hydra))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, ROOT, [*_searchpath(config_dir), *overrides]) from None
    except UserError as error:
        raise dotted_choice(overrides) or error from None
    except YAMLError as error:
        raise UserError(f"a configuration file is no YAML: {' '.join(str(error).split())}") from None


def _searchpath(config_dir: Path | None) -> list[str]:
    return [f"hydra.searchpath=[{quoted('file://' + str(config_dir.resolve()))}]"] if config_dir else []


def quoted(value: str) -> str:
    """Quote any text as a string of Hydra's override syntax."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def train_command(overrides: Sequence[str], config_dir: Path | None = None) -> str:
    """The command that trains one run. An override that asked to begin anew (`overwrite=`) is left out.

    Args:
        overrides: of the run.
        config_dir: the person's own folder of configuration files.
    """
    where = ["--config-dir", str(config_dir)] if config_dir else []
    plugins = [word for named in plugins_named() for word in ("--plugin", named)]
    kept = [override for override in overrides if not override.startswith("overwrite=")]
    return shlex.join(["chtexp", "train", *where, *plugins, *kept])


SWEEPER = "hydra/sweeper="


def fixed_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that are the same for all runs of a sweep, without those of Hydra itself.

    Raises:
        UserError: an override cannot be read.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise explain(error) from None
    kept = (one for one in parsed if not one.is_sweep_override() and not one.is_hydra_override())
    return [str(one.input_line) for one in kept]


def check_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> list[Run] | None:
    """Compose every run of the Cartesian product that Hydra's sweep syntax asks for.

    Args:
        overrides: in Hydra's syntax, sweeps included.
        config_dir: as for `compose_run`.

    Returns:
        The runs; None where another sweeper than Hydra's own decides them (`hydra/sweeper=optuna`). What all of its runs share
        is checked.

    Raises:
        UserError: anything a person may have typed wrong.
    """
    sweeper = [override for override in overrides if override.startswith(SWEEPER)]
    if sweeper and sweeper[-1] != f"{SWEEPER}basic":
        hydras = [override for override in overrides if override.startswith(("hydra", "+hydra"))]
        compose_run([*hydras, *fixed_overrides(overrides)], config_dir)
        return None
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        own = [override for override in parsed if not override.is_hydra_override()]
        for_hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
        batches = BasicSweeper.split_arguments(own, None)
    except HydraException as error:
        raise explain(error) from None
    describe_one = partial(run_of, images=measured_once())
    return [_explained(describe_one, [*for_hydra, *words], config_dir) for batch in batches for words in batch]


def compose_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> SweepSettings:
    """Compose the settings of a sweep: who carries it out, and when it gives up.

    Args:
        overrides: `launcher=...`, `launcher.KEY=...`, `max_failures=...`.
        config_dir: as for `compose_run`.

    Raises:
        UserError: anything a person may have typed wrong.
    """
    searchpath = _searchpath(config_dir)
    try:
        config = composed("sweep", [*searchpath, *overrides])
        values = _plain(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, "sweep", [*searchpath, *overrides]) from None
    return describe_sweep({key: value for key, value in values.items() if key != "hydra"})


def run_of(config: DictConfig, images: Images = measured_images) -> Run:
    """Describe the run of a composed configuration.

    Args:
        config: the configuration.
        images: describes images of one's own.

    Raises:
        UserError: parts that do not fit each other, a reference to nothing, a wrong value, or images of one's own with which
            something is wrong.
    """
    load_plugins(OmegaConf.select(config, "plugins") or ())
    check_parts(_plain(config))  # before a model looks for widths that its data do not have
    try:
        values = _plain(config, resolve=True)
    except OmegaConfBaseException as error:
        raise explain(error) from None
    values.pop("hydra", None)
    data = values.get("data")
    if are_own_images(data):
        paths = describe(Paths, _mapping(values.get("paths")), "paths")
        values["data"] = images(_mapping(data), paths.prepared)
    return describe_run(values)


def _mapping(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _plain(config: DictConfig, *, resolve: bool = False) -> dict[str, object]:
    """A configuration as plain values. resolve: references are followed, and a value that is missing is an error."""
    values = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
