"""Absent links have no momentum: every buffer of any optimizer that mirrors a weight is kept zero where it is absent."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor

from chtexp.errors import UserError

# Their step changes each element from that element's own weight, gradient and state, and maps all-zero to zero.
ELEMENTWISE = (
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Adadelta,
    torch.optim.NAdam, torch.optim.RAdam,
)  # fmt: skip


def check_step(optimizer: torch.optim.Optimizer) -> None:
    """Raises UserError for an optimizer whose step must call the loss again, as a line search does."""
    for parameter in inspect.signature(optimizer.step).parameters.values():
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise UserError(
                f"{type(optimizer).__name__} cannot step without '{parameter.name}'; use an optimizer that steps from the "
                "gradient alone, e.g. SGD, Adam, AdamW, RMSprop"
            )


def is_elementwise(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step of `optimizer` leaves a weight at zero whose gradient and state are zero."""
    return type(optimizer) in ELEMENTWISE


def mask_state(optimizer: torch.optim.Optimizer, weight: Tensor, mask_OI: Tensor) -> None:
    """Zero every buffer of `weight` where `mask_OI` is False.

    Buffers of the weight's shape are masked and scalars (step counts) left alone. Raises UserError for any other
    layout (factored or flattened state): which of its entries belong to an absent link cannot be told.
    """
    for key, value in optimizer.state.get(weight, {}).items():
        if value is None or isinstance(value, int | float | str) or (isinstance(value, Tensor) and value.numel() == 1):
            continue
        if not isinstance(value, Tensor) or value.shape != weight.shape:
            layout = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"as a {type(value).__name__}"
            raise UserError(
                f"{type(optimizer).__name__} keeps '{key}' {layout} for a weight of shape "
                f"{tuple(weight.shape)}, so the state of absent links cannot be found; use an optimizer whose state mirrors "
                "the weights, e.g. SGD, Adam, AdamW, RMSprop"
            )
        value.mul_(mask_OI)
