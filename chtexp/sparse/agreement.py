"""The links of several processes: the leader decides them and sends them as bits; hashes show that all hold the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from chtexp.distributed.group import Processes
from chtexp.sparse.bits import unpack
from chtexp.sparse.layer import SparseLayer
from chtexp.sparse.links import Links


def broadcast_links(processes: Processes, layers: Sequence[Links]) -> list[Links]:
    """Send the leader's links of all layers to all processes, in one message.

    Args:
        processes: those that train together.
        layers: the links of every layer; only their shapes matter in processes other than the leader.

    Returns:
        The leader's links of every layer.
    """
    if processes.world == 1 or not layers:
        return list(layers)
    packed = [links.bits() for links in layers]
    parts = processes.broadcast(torch.cat(packed)).split([part.numel() for part in packed])
    return [Links.of_mask(unpack(part, links.shape)) for part, links in zip(parts, layers, strict=True)]


def check_agreement(processes: Processes, layers: Sequence[SparseLayer], step: int) -> None:
    """Check that all processes hold the same links.

    Args:
        processes: those that train together.
        layers: the sparse layers.
        step: optimizer steps before the update, for the message.

    Raises:
        RuntimeError: two processes hold different links.
    """
    if processes.world > 1:
        processes.assert_equal(f"the masks after the update of step {step}", [layer.links.bits() for layer in layers])
