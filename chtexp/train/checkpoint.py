"""Checkpoints: plain values and tensors, whole or not there, loaded with `weights_only=True`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from chtexp.store.files import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path` by `state`, atomically."""
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The state at `path`, its tensors on `device`.

    Raises RuntimeError naming the file if it cannot be read.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise RuntimeError(f"checkpoint {path} cannot be read ({error}); remove it to train from the start") from error


def random_state() -> dict[str, Any]:
    """The state of torch's global generators (dropout draws from them)."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set torch's global generators to what `random_state` returned."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])
