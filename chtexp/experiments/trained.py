"""A run that is done, to be put to use: by the files of its own folder alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from chtexp.errors import UserError
from chtexp.experiments.description import Run, describe_run
from chtexp.resources import read_yaml
from chtexp.sparse import dense_weights
from chtexp.store import RunFolder


def trained_run(folder: Path, task: str, use: str) -> Run:
    """The description of the run in `folder`.

    task: the one it must be of. use: what its model is wanted for, in words. Raises UserError for a folder that holds no
    finished run of that task with its model.
    """
    run_folder = RunFolder(folder)
    if not run_folder.config.exists():
        raise _no_run(folder)
    run = describe_run(read_yaml(run_folder.config))
    if run.task.name != task:
        raise UserError(f"{folder} is a run of {run.task.name}, which does not {use}")
    if not run_folder.result.exists():
        raise UserError(f"{folder} is not done yet: 'chtexp status' says how far it is")
    if not run_folder.selected.exists():
        raise UserError(f"{folder} has lost its weights ({run_folder.selected.name}): overwrite=true trains it again")
    return run


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
    """`model` on `device`, to be evaluated, with the weights of the run's best moment: absent links are zeros."""
    selected = torch.load(RunFolder(folder).selected, map_location=device, weights_only=True)
    model = model.to(device)
    model.load_state_dict(dense_weights(selected))
    return model.eval()
