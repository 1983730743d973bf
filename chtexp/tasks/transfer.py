"""Copies of tensors from memory to the device that computes."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device. The CPU does not wait for a copy to a GPU, which needs pinned memory for that.

    Args:
        tensor: of any shape and type, on the CPU.
        device: the target.

    Returns:
        The tensor on `device`; the same tensor if that is the CPU.
    """
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)
