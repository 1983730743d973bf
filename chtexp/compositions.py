"""The runs of many cells, of which most choose the same files and differ in values: each choice is composed once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from chtexp.compose import compose_choices, compose_run, run_of
from chtexp.errors import UserError
from chtexp.experiments.description import Run


class Compositions:
    """As `compose_run`, for many overrides; the same runs and the same errors."""

    def __init__(self, config_dir: Path | None = None) -> None:
        self.config_dir = config_dir
        self._of_choices: dict[tuple[str, ...], DictConfig] = {}

    def run(self, overrides: Sequence[str]) -> Run:
        """The run that `overrides` describe."""
        values = [override for override in overrides if _is_value(override)]
        choices = tuple(override for override in overrides if override not in values)
        if any("{" in choice.partition("=")[2] for choice in choices):  # values of several keys, whose place matters
            return compose_run(overrides, self.config_dir)
        try:
            if choices not in self._of_choices:
                self._of_choices[choices] = compose_choices(choices, self.config_dir)
            config = copy.deepcopy(self._of_choices[choices])
            ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(values), config)
            return run_of(config)
        except (HydraException, OmegaConfBaseException, UserError):
            return compose_run(overrides, self.config_dir)  # which says what is wrong


def _is_value(override: str) -> bool:
    """Whether it changes one value inside a configuration, as Hydra does once all files are merged."""
    key = override.partition("=")[0]
    return "." in key and "/" not in key and "@" not in key and not key.startswith("hydra.")
