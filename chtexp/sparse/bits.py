"""Masks as bits, one bit a pair: in a checkpoint, and for the pairs that were ever a link."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_POWERS = (128, 64, 32, 16, 8, 4, 2, 1)
_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)


def pack(mask: Tensor) -> Tensor:
    """Pack a mask into bits.

    Args:
        mask: bool, of any shape.

    Returns:
        uint8 [ceil(elements / 8)], on the mask's device.
    """
    flat = mask.detach().reshape(-1)
    if flat.device.type == "cpu":
        return torch.from_numpy(np.packbits(flat.numpy()))
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
    return (padded * torch.tensor(_POWERS, dtype=torch.uint8, device=flat.device)).sum(1, dtype=torch.uint8)


def pack_links(positions_K: Tensor, elements: int) -> Tensor:
    """Pack the mask of some links into bits, without making the mask.

    Args:
        positions_K: [K] int64, the positions at which the mask is True, each once.
        elements: of the mask.

    Returns:
        uint8 [ceil(elements / 8)], what `pack` returns for the mask.
    """
    values_K = torch.tensor(_POWERS, dtype=torch.uint8, device=positions_K.device)[positions_K % 8]
    bits = torch.zeros(-(-elements // 8), dtype=torch.uint8, device=positions_K.device)
    return bits.index_add_(0, positions_K // 8, values_K)


def unpack(bits: Tensor, shape: tuple[int, int]) -> Tensor:
    """Unpack a mask from bits.

    Args:
        bits: uint8 [ceil(O * I / 8)], as `pack` returns them.
        shape: O and I.

    Returns:
        [O, I] bool, on the device of `bits`.

    Raises:
        ValueError: there are more or fewer bits than a mask of this shape has.
    """
    elements = shape[0] * shape[1]
    if bits.numel() != -(-elements // 8):
        raise ValueError(f"{bits.numel()} bytes cannot hold a mask of shape {tuple(shape)}")
    flat = (bits.unsqueeze(1) & torch.tensor(_POWERS, dtype=torch.uint8, device=bits.device)).bool().view(-1)
    return flat[:elements].view(shape)


def count(bits: Tensor) -> int:
    """Count the bits that are set."""
    return int(_ONES[bits.cpu().numpy()].sum(dtype=np.int64))
