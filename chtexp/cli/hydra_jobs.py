"""Runs as Hydra jobs: `chtexp train` in Hydra's own sweep by any of its launchers, and what Hydra shows of a configuration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from chtexp.cli.common import EXIT_FAILURE
from chtexp.config.compatibility import note_on_method
from chtexp.config.compose import run_of, train_command
from chtexp.config.reader import ROOT
from chtexp.config.resources import conf_dir
from chtexp.errors import UserError
from chtexp.store import RunLocked


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=ROOT)
def job(config: DictConfig) -> float | None:
    """One run as a Hydra job.

    Alone, its failure ends the process. In Hydra's own sweep the others go on; another sweeper is told of it.

    Returns:
        What the run reports, for sweepers that search; None if it reports nothing.
    """
    from chtexp.run.execute import RunFailed, execute  # loads torch, which a configuration is shown without

    here = HydraConfig.get()
    config_dir = next(
        (Path(source.path) for source in here.runtime.config_sources if source.provider == "command-line"), None
    )
    try:
        run = run_of(config)
        if note := note_on_method(here.runtime.choices["method"], run.model, run.data.name):
            print(f"chtexp: {note}", file=sys.stderr, flush=True)
        reported = execute(run, train_command(list(here.overrides.task), config_dir))["reported"]
        return reported if isinstance(reported, float) else None
    except (UserError, RunLocked, RunFailed) as error:
        print(f"chtexp: {error}", file=sys.stderr, flush=True)
        if here.mode == RunMode.RUN:
            sys.exit(error.exit_code if isinstance(error, UserError) else EXIT_FAILURE)
        if here.runtime.choices["hydra/sweeper"] != "basic":
            raise
        return None


def run_hydra(arguments: Sequence[str]) -> None:
    """Hydra's own command line with `arguments`."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        job()
    finally:
        sys.argv = typed
