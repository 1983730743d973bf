"""Masks as bits: one bit a pair, in a checkpoint and for what a run only adds to (which pairs were ever a link)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_POWERS = (128, 64, 32, 16, 8, 4, 2, 1)
_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)


def pack(mask: Tensor) -> Tensor:
    """A bool tensor of any shape as uint8 [ceil(elements / 8)], on the mask's device."""
    flat = mask.detach().reshape(-1)
    if flat.device.type == "cpu":
        return torch.from_numpy(np.packbits(flat.numpy()))
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
    return (padded * torch.tensor(_POWERS, dtype=torch.uint8, device=flat.device)).sum(1, dtype=torch.uint8)


def unpack(bits: Tensor, shape: tuple[int, int]) -> Tensor:
    """The bool mask of this shape that `pack` packed, on the device of `bits`."""
    elements = shape[0] * shape[1]
    if bits.numel() != -(-elements // 8):
        raise ValueError(f"{bits.numel()} bytes cannot hold a mask of shape {tuple(shape)}")
    flat = (bits.unsqueeze(1) & torch.tensor(_POWERS, dtype=torch.uint8, device=bits.device)).bool().view(-1)
    return flat[:elements].view(shape)


def count(bits: Tensor) -> int:
    """How many bits are set."""
    return int(_ONES[bits.cpu().numpy()].sum(dtype=np.int64))
