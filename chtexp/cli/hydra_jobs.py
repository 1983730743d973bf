"""Runs as Hydra jobs: what `chtexp train` is, alone or in Hydra's own sweep by any of its launchers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from chtexp.compose import run_of, train_command
from chtexp.configuration import ROOT
from chtexp.errors import UserError
from chtexp.experiments.fit import own_recipe
from chtexp.experiments.run import RunFailed, execute
from chtexp.resources import conf_dir
from chtexp.store import RunLocked

EXIT_FAILURE, EXIT_USER_ERROR = 1, 2


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=ROOT)
def job(config: DictConfig) -> None:
    """One run as a Hydra job. Alone, its failure ends the process; in a sweep the others go on."""
    here = HydraConfig.get()
    config_dir = next(
        (Path(source.path) for source in here.runtime.config_sources if source.provider == "command-line"), None
    )
    try:
        run, method = run_of(config), here.runtime.choices["method"]
        if own := own_recipe(method, run.family):
            print(
                f"chtexp: note: method={method} is written for other models; method={own} is made for "
                f"data={run.data.name}",
                file=sys.stderr,
                flush=True,
            )
        execute(run, train_command(list(here.overrides.task), config_dir))
    except (UserError, RunLocked, RunFailed) as error:
        print(f"chtexp: {error}", file=sys.stderr, flush=True)
        if here.mode == RunMode.RUN:
            sys.exit(EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_FAILURE)


def run_hydra(arguments: Sequence[str]) -> None:
    """Hydra's own command line with `arguments`."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        job()
    finally:
        sys.argv = typed
