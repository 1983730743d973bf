"""The folder of a run that is done: what its own files say, read without loading torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.config.families import Recipe
from chtexp.config.plugins import kept_plugins
from chtexp.config.resources import read_yaml
from chtexp.config.run import Run, describe_run
from chtexp.errors import Unavailable, UserError
from chtexp.store import Damaged, Result, RunFolder


def trained_run(folder: Path, task: type[Recipe], use: str) -> Run:
    """Read the description of a finished run.

    Args:
        folder: of the run.
        task: the kind of task it must be of.
        use: what its model is wanted for, in words.

    Raises:
        UserError: the folder holds no finished run of that task with its model.
    """
    run = run_of(folder)
    if not isinstance(run.task, task):
        raise UserError(f"{folder} is a run of {run.task.name}, which does not {use}")
    result_of(folder)
    weights = RunFolder(folder).selected
    if not weights.exists():
        raise Unavailable(f"{folder} has lost its weights ({weights.name}): overwrite=true trains it again")
    return run


def run_of(folder: Path) -> Run:
    """Read the description of a run, whatever its task.

    Args:
        folder: of the run.

    Raises:
        UserError: the folder is no run's.
    """
    run_folder = RunFolder(folder)
    if not run_folder.config.exists():
        raise _no_run(folder)
    values = read_yaml(run_folder.config)
    return describe_run({**values, "plugins": kept_plugins(values.get("plugins"), run_folder.plugins)})


def result_of(folder: Path) -> Result:
    """Read the result of a run.

    Args:
        folder: of the run.

    Raises:
        UserError: the run is not done.
    """
    result = RunFolder(folder).finished()
    if result is None:
        raise UserError(f"{folder} is not done yet: 'chtexp status' says how far it is")
    return result


def last_checkpoint(folder: Path, steps: int) -> Path:
    """Find the checkpoint of the end of a run, of a task that keeps no other weights.

    Args:
        folder: of the run.
        steps: optimizer steps of its training.

    Raises:
        Unavailable: there is none.
    """
    found = sorted(RunFolder(folder).checkpoints.glob(f"step-{steps:09d}.*.pt"))
    if not found:
        raise Unavailable(
            f"{folder} has lost its last checkpoint, which holds its weights (chtexp clean --checkpoints removes them): "
            "overwrite=true trains it again"
        )
    return found[0]


def check_new(folder: Path) -> None:
    """Check that a folder can be written whole.

    Args:
        folder: wherever.

    Raises:
        UserError: something lies there.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.is_dir():
        raise UserError(f"{folder} is not empty; name a new folder")
    if os.path.lexists(folder):
        raise UserError(f"{folder} is a file; name a new folder")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library raises inside, `path` is damaged: files that a run keeps to be used with its weights."""
    try:
        RunFolder(path.parent).check(path)
        yield
    except UserError:
        raise
    except Exception as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise Damaged(path, f"cannot be read ({said})") from None


def _no_run(folder: Path) -> UserError:
    """Why `folder` is none, and which to name instead."""
    if seeds := [run.path.name for run in RunFolder.of_every_seed(folder)]:
        return UserError(
            f"{folder} is no run's folder: it holds {', '.join(seeds)}; name one, e.g. {folder / seeds[0]}"
        )
    return UserError(
        f"{folder} is no run's folder: name one that holds config.yaml, e.g. runs/<data>-<method>-<budget>-<id>/seed-0"
    )
