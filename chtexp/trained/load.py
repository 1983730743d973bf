"""The weights of a run that is done, from its own folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from chtexp.sparse import dense_weights
from chtexp.store import Damaged, RunFolder
from chtexp.train.checkpoint import load_weights


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
    try:
        model.load_state_dict(dense_weights(selected))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise Damaged(run_folder.selected, f"does not hold the weights of this run ({why})") from None
    return model.eval()
