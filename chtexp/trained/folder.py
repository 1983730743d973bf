"""The folder of a run that is done: what its own files say, read without loading torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.config.families import Recipe
from chtexp.config.plugins import kept_plugins
from chtexp.config.resources import read_yaml
from chtexp.config.run import Run, describe_run
from chtexp.errors import Unavailable, UserError
from chtexp.store import Damaged, RunFolder


def trained_run(folder: Path, task: type[Recipe], use: str) -> Run:
    """Read the description of a finished run.

    Args:
        folder: of the run.
        task: the kind of task it must be of.
        use: what its model is wanted for, in words.

    Raises:
        UserError: the folder holds no finished run of that task with its model.
    """
    run_folder = RunFolder(folder)
    if not run_folder.config.exists():
        raise _no_run(folder)
    values = read_yaml(run_folder.config)
    run = describe_run({**values, "plugins": kept_plugins(values.get("plugins"), run_folder.plugins)})
    if not isinstance(run.task, task):
        raise UserError(f"{folder} is a run of {run.task.name}, which does not {use}")
    if run_folder.finished() is None:
        raise UserError(f"{folder} is not done yet: 'chtexp status' says how far it is")
    if not run_folder.selected.exists():
        raise Unavailable(f"{folder} has lost its weights ({run_folder.selected.name}): overwrite=true trains it again")
    return run


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
