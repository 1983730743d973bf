"""Masks as bits: one bit a pair in a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

_POWERS = (128, 64, 32, 16, 8, 4, 2, 1)


def pack(mask: Tensor) -> Tensor:
    """A bool tensor of any shape as uint8 [ceil(elements / 8)], on the CPU."""
    flat = mask.detach().reshape(-1).cpu()
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
    return (padded * torch.tensor(_POWERS, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def unpack(bits: Tensor, like: Tensor) -> Tensor:
    """The bool tensor that `pack` packed, with the shape and device of `like`."""
    if bits.numel() != -(-like.numel() // 8):
        raise ValueError(f"{bits.numel()} bytes cannot hold a mask of shape {tuple(like.shape)}")
    flat = (bits.cpu().unsqueeze(1) & torch.tensor(_POWERS, dtype=torch.uint8)).bool().view(-1)
    return flat[: like.numel()].view(like.shape).to(like.device)
