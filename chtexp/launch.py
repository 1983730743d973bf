"""Through Hydra's launchers: single runs, Hydra's own sweeps, and the missing cells of a table.

The cells of a table are no Cartesian product, which is all that Hydra's sweeper knows. So a list of them goes out as a
sweep over the list's indices, and every launcher that Hydra has (its basic one, joblib, submitit) can take it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from chtexp.compose import ROOT, check_launcher, compose_run, quoted, run_of, train_command
from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.run import RunFailed, execute
from chtexp.resources import conf_dir
from chtexp.store import RunLocked

EXIT_FAILURE, EXIT_USER_ERROR = 1, 2


class Failed(Exception):
    """A run did not end well; what was wrong has been said. code: the exit code of a process that runs it alone."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _execute(describe: Callable[[], Run], overrides: Sequence[str], config_dir: Path | None) -> None:
    try:
        execute(describe(), train_command(overrides, config_dir))
    except (UserError, RunLocked, RunFailed) as error:
        print(f"chtexp: {error}", file=sys.stderr, flush=True)
        raise Failed(EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_FAILURE) from error


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=ROOT)
def job(config: DictConfig) -> None:
    """One run as a Hydra job. Alone, its failure ends the process; in a sweep the others go on."""
    here = HydraConfig.get()
    config_dir = next(
        (Path(source.path) for source in here.runtime.config_sources if source.provider == "command-line"), None
    )
    try:
        _execute(lambda: run_of(config), list(here.overrides.task), config_dir)
    except Failed as failed:
        if here.mode == RunMode.RUN:
            sys.exit(failed.code)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="sweep")
def listed_job(config: DictConfig) -> None:
    """One run of a list as a Hydra job."""
    jobs = json.loads(Path(config.jobs).read_text())
    overrides = jobs[config.index]
    print(f"run {config.index + 1} of {len(jobs)}", flush=True)
    config_dir = Path(config.config_dir) if config.config_dir else None
    with suppress(Failed):
        _execute(lambda: compose_run(overrides, config_dir), overrides, config_dir)


def run_hydra(arguments: Sequence[str], main: Callable[[], None] = job) -> None:
    """Hydra's own command line with `arguments`."""
    typed = sys.argv
    sys.argv = [typed[0], *arguments]
    try:
        main()
    finally:
        sys.argv = typed


def launch(
    jobs: Sequence[Sequence[str]], folder: Path, hydra_overrides: Sequence[str], config_dir: Path | None
) -> None:
    """Run `jobs`, each a list of overrides, by the launcher that `hydra_overrides` choose (`hydra/launcher=...`).

    folder: where the list of jobs and the launcher's own files are written.
    """
    if not jobs:
        return
    check_launcher(hydra_overrides)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}); set paths.runs to a folder that can") from None
    folder = folder.resolve()
    (folder / "jobs.json").write_text(json.dumps([list(overrides) for overrides in jobs]))
    settings = [
        f"jobs={quoted(str(folder / 'jobs.json'))}",
        f"index={','.join(str(index) for index in range(len(jobs)))}",
        f"config_dir={quoted(str(config_dir.resolve())) if config_dir else 'null'}",
        f"hydra.sweep.dir={quoted(str(folder))}",
    ]
    run_hydra(["--multirun", *settings, *hydra_overrides], listed_job)
