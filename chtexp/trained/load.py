"""A run that is done, to be put to use: by the files of its own folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from chtexp.config.families import Recipe
from chtexp.config.resources import read_yaml
from chtexp.config.run import Run, describe_run
from chtexp.errors import UserError
from chtexp.sparse import dense_weights
from chtexp.store import Damaged, RunFolder
from chtexp.train.checkpoint import load_weights


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
    run = describe_run(read_yaml(run_folder.config))
    if not isinstance(run.task, task):
        raise UserError(f"{folder} is a run of {run.task.name}, which does not {use}")
    if run_folder.finished() is None:
        raise UserError(f"{folder} is not done yet: 'chtexp status' says how far it is")
    if not run_folder.selected.exists():
        raise UserError(f"{folder} has lost its weights ({run_folder.selected.name}): overwrite=true trains it again")
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


def with_selected_weights(model: nn.Module, folder: Path, device: torch.device) -> nn.Module:
    """Load the weights of a run's best moment; absent links are zeros.

    Args:
        model: the network of the run.
        folder: of the run.
        device: where the model is put.

    Returns:
        The model, in evaluation mode.

    Raises:
        Damaged: the weights are not those that the run wrote.
    """
    run_folder = RunFolder(folder)
    run_folder.check(run_folder.selected)
    selected = load_weights(run_folder.selected, device)
    model = model.to(device)
    model.load_state_dict(dense_weights(selected))
    return model.eval()
