"""The masks of several processes: the leader decides them, sends them as bits, and all compare what they hold by hash.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chtexp.processes import Processes
from chtexp.sparse import bits


def led(processes: Processes, masks: Sequence[Tensor]) -> list[Tensor]:
    """The leader's masks [O, I] in the place of one's own, of all layers at once; a process alone keeps its own."""
    if processes.world == 1 or not masks:
        return list(masks)
    packed = [bits.pack(mask) for mask in masks]
    parts = processes.led(torch.cat(packed)).split([part.numel() for part in packed])
    return [bits.unpack(part, (mask.shape[0], mask.shape[1])) for part, mask in zip(parts, masks, strict=True)]


def check_agreement(processes: Processes, masks: Sequence[Tensor], step: int) -> None:
    """Raise what `Processes.agree` raises where two processes hold other masks [O, I] after the update of `step`."""
    if processes.world > 1:
        processes.agree(f"the masks after the update of step {step}", [bits.pack(mask) for mask in masks])
