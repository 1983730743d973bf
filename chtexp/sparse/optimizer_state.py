"""What an optimizer holds for a weight: buffers of the weight's shape, and other values.

Absent links have no momentum: the buffers of a sparse weight are kept for its links alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection

import torch
from torch import Tensor

from chtexp.errors import UserError

# Their step changes each element from that element's own weight, gradient and state, and maps all-zero to zero.
ELEMENTWISE = (
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Adadelta,
    torch.optim.NAdam, torch.optim.RAdam,
)  # fmt: skip

BEGINNINGS = {  # buffers that do not begin at zero, and the setting that says at what
    torch.optim.Rprop: {"step_size": "lr"},
    torch.optim.Adagrad: {"sum": "initial_accumulator_value"},
}


def check_step(optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimizer makes steps from the gradient alone.

    Args:
        optimizer: the optimizer.

    Raises:
        UserError: its step must evaluate the loss again, as a line search does.
    """
    _, *parameters = inspect.signature(
        type(optimizer).step
    ).parameters.values()  # a scheduler may have wrapped optimizer.step
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise UserError(
                f"{type(optimizer).__name__} cannot step without '{parameter.name}', and may call it several times; "
                "use an optimizer that steps from the gradient alone, e.g. SGD, Adam, AdamW, RMSprop"
            )


def is_elementwise(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether a step of `optimizer` leaves a weight at zero whose gradient and state are zero."""
    return type(optimizer) in ELEMENTWISE


def mirrors(optimizer: torch.optim.Optimizer, weight: Tensor) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Split what an optimizer holds for a weight.

    Args:
        optimizer: the optimizer.
        weight: of any shape.

    Returns:
        The buffers that have the weight's shape, and the rest (such as a step count), each by name.

    Raises:
        UserError: any other layout (factored or flattened state), where the entries of absent links cannot be found.
    """
    buffers: dict[str, Tensor] = {}
    rest: dict[str, object] = {}
    for key, value in optimizer.state.get(weight, {}).items():
        if isinstance(value, Tensor) and value.shape == weight.shape:
            buffers[key] = value
        elif (
            value is None or isinstance(value, int | float | str) or (isinstance(value, Tensor) and value.numel() == 1)
        ):
            rest[key] = value
        else:
            layout = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"as a {type(value).__name__}"
            raise UserError(
                f"{type(optimizer).__name__} keeps '{key}' {layout} for a weight of shape "
                f"{tuple(weight.shape)}, so the state of absent links cannot be found; use an optimizer whose state mirrors "
                "the weights, e.g. SGD, Adam, AdamW, RMSprop"
            )
    return buffers, rest


def beginnings(optimizer: torch.optim.Optimizer, weight: Tensor) -> dict[str, float]:
    """Tell with which values an optimizer begins the buffers of a weight, where these are not zero.

    Args:
        optimizer: the optimizer, which holds the weight.
        weight: the weight.

    Returns:
        The values by the names of the buffers.
    """
    settings = BEGINNINGS.get(type(optimizer))
    if settings is None:
        return {}
    group = next(group for group in optimizer.param_groups if any(weight is held for held in group["params"]))
    return {buffer: float(group[setting]) for buffer, setting in settings.items()}


def state_without(optimizer: torch.optim.Optimizer, weights: Collection[Tensor]) -> dict[str, object]:
    """Return `optimizer.state_dict()` without what it holds for `weights`."""
    everything = optimizer.state_dict()
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    left_out = {id(weight) for weight in weights}
    state = {index: value for index, value in everything["state"].items() if id(held[index]) not in left_out}
    return {**everything, "state": state}
