"""Absent links have no momentum: every buffer of any optimizer that mirrors a weight is kept zero where it is absent."""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError

# Their step changes each element from that element's own weight, gradient and state, and maps all-zero to zero.
ELEMENTWISE = (
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Adadelta,
    torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adamax,
)  # fmt: skip


def is_elementwise(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step of `optimizer` leaves a weight at zero whose gradient and state are zero."""
    return type(optimizer) in ELEMENTWISE


def mask_state(optimizer: torch.optim.Optimizer, weight: Tensor, mask_OI: Tensor) -> None:
    """Zero every buffer of `weight` where `mask_OI` is False.

    Buffers of the weight's shape are masked and scalars (step counts) left alone. Raises UserError for any other
    layout (factored or flattened state): which of its entries belong to an absent link cannot be told.
    """
    for key, value in optimizer.state.get(weight, {}).items():
        if not isinstance(value, Tensor) or value.numel() == 1:
            continue
        if value.shape != weight.shape:
            raise UserError(
                f"{type(optimizer).__name__} keeps '{key}' of shape {tuple(value.shape)} for a weight of shape "
                f"{tuple(weight.shape)}, so the state of absent links cannot be found; use an optimizer whose state mirrors "
                "the weights, e.g. SGD, Adam, AdamW, RMSprop"
            )
        value.mul_(mask_OI)
