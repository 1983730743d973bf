"""What the commands share: their arguments, the runs they are about, and the verdict at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp.errors import UserError

if TYPE_CHECKING:
    from chtexp.experiments.description import Run
    from chtexp.planning import PlannedRun
    from chtexp.store import Condition, RunFolder

EXIT_FAILURE, EXIT_USER_ERROR = 1, 2


def subcommand(commands: Any, name: str, run: object, what: str, example: str) -> argparse.ArgumentParser:
    """A command with a line of help and an example; `run` is called with what was typed and returns the exit code."""
    sub: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what, epilog=f"example: {example}")
    sub.set_defaults(run=run)
    return sub


def add_table_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", metavar="TABLE", help="a file of conf/paper, e.g. table7")
    sub.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="choose cells (data=mnist), change runs (budget=smoke), set seeds (seed=0,1), add a row (+method=mine)",
    )


def add_config_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--config-dir", type=Path, help="a folder of your own configuration, laid out as conf/")


def check_config_dir(config_dir: Path | None) -> None:
    if config_dir is not None and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")


def planned_runs(parsed: argparse.Namespace, overrides: list[str]) -> list[PlannedRun]:
    """The runs of the table that was named."""
    from chtexp.planning import plan_runs

    check_config_dir(parsed.config_dir)
    return plan_runs(parsed.name, overrides, parsed.config_dir)


def runs_folder(overrides: Sequence[str], config_dir: Path | None) -> Path:
    """Where runs are, by what was typed."""
    from chtexp.compose import compose_run

    check_config_dir(config_dir)
    return compose_run(overrides, config_dir).paths.runs


def conditions(folders: Sequence[RunFolder]) -> list[Condition]:
    """What is known of each run, after asking the scheduler once for all of them."""
    from chtexp.launch.slurm_queue import queue_of
    from chtexp.store import condition

    queue = queue_of(folders)
    return [condition(folder, queue) for folder in folders]


def verdict(runs: Sequence[Run]) -> int:
    """Say what became of runs that were launched; a failure if any is not done."""
    found = conditions([run.folder for run in runs])
    left = [(run, condition) for run, condition in zip(runs, found, strict=True) if condition.state != "done"]
    for run, condition in left:
        print(
            f"{condition.state}: {run.folder.path}" + (f"  ({condition.reason})" if condition.reason else ""),
            file=sys.stderr,
        )
    if len(runs) > 1:
        print(f"{len(runs) - len(left)} of {len(runs)} runs done")
    return EXIT_FAILURE if left else 0
