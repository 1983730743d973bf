"""What an optimizer's own hooks tell: that a step begins, and that it has been made, whoever called it.

A closure is followed, too: it computes the gradients inside the step, so the step begins again when it returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import CodeType, FrameType
from typing import Protocol

import torch
from torch import Tensor

from chtexp.errors import UserError

HOOKS = "_optimizer_step_post_hooks"
Arguments = tuple[tuple[object, ...], dict[str, object]]


class Follower(Protocol):
    """What follows the steps of an optimizer."""

    def begin_step(self) -> None:
        """Prepare for a step: all gradients are there."""

    def end_step(self) -> None:
        """Finish a step that was made."""

    def wrapper_stepped(self) -> None:
        """See to what an optimizer around the followed one did after its step."""

    def state_loaded(self) -> None:
        """See to a state that the optimizer has loaded."""


class Steps:
    """Tells a follower of the steps of an optimizer, once each, and of states that it loads.

    Args:
        optimizer: the optimizer that makes the steps.
        wrapper: the one around it that the caller has; the same where there is none.
        follower: is told; the optimizer's hooks keep it alive.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, wrapper: torch.optim.Optimizer, follower: Follower) -> None:
        self._follower = follower
        self._under_way, self._depth = False, 0
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
            optimizer.register_load_state_dict_post_hook(lambda _: follower.state_loaded()),
        ]
        if wrapper is not optimizer and hasattr(
            wrapper, HOOKS
        ):  # Accelerate's has none, and does nothing after the step
            self._handles.append(wrapper.register_step_post_hook(lambda *_: follower.wrapper_stepped()))

    def stop(self) -> None:
        """Tell nothing any more."""
        for handle in self._handles:
            handle.remove()

    def _before(
        self, optimizer: torch.optim.Optimizer, arguments: tuple[object, ...], named: dict[str, object]
    ) -> Arguments | None:
        if self._under_way and _calls_of_step(optimizer) > 1:  # of a subclass whose step calls that of its parent
            self._depth += 1
            return None
        self._under_way, self._depth = True, 0  # a step before may have ended in an error
        closure = named.get("closure", arguments[1] if len(arguments) > 1 else None)
        if not callable(closure):
            self._follower.begin_step()
            return None
        followed = self._followed(closure)
        if "closure" in named:
            return arguments, {**named, "closure": followed}
        return (arguments[0], followed, *arguments[2:]), named

    def _after(self, optimizer: torch.optim.Optimizer, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        if self._depth:
            self._depth -= 1
            return
        self._under_way = False
        self._follower.end_step()

    def _followed(self, closure: Callable[[], object]) -> Callable[[], object]:
        def compute() -> object:
            loss = closure()
            self._follower.begin_step()
            return loss

        return compute


def _calls_of_step(optimizer: torch.optim.Optimizer) -> int:
    """Count the calls of `optimizer.step` that are under way: frames of the wrapper in which torch calls the hooks."""
    code: CodeType | None = getattr(type(optimizer).step, "__code__", None)
    frame: FrameType | None = sys._getframe(1)
    calls = 0
    while frame is not None:
        calls += frame.f_code is code and frame.f_locals.get("self") is optimizer
        frame = frame.f_back
    return calls


def holding(optimizer: torch.optim.Optimizer, weights: Collection[Tensor]) -> torch.optim.Optimizer:
    """Find the optimizer that makes the steps and holds the state: the inner one of those that wrap another.

    Sharpness-aware minimisation, Lookahead and Accelerate keep an optimizer inside another.

    Args:
        optimizer: as the caller has it.
        weights: the sparse weights.

    Returns:
        The optimizer itself, or the innermost one that holds any of the weights.

    Raises:
        UserError: two inner optimizers hold the weights.
    """
    wanted = {id(weight) for weight in weights}
    inner = [
        value
        for value in vars(optimizer).values()
        if isinstance(value, torch.optim.Optimizer) and value is not optimizer and _held(value) & wanted
    ]
    if len({id(one) for one in inner}) > 1:
        raise UserError(
            f"{type(optimizer).__name__} keeps {len(inner)} optimizers that hold sparse weights; pass the one that steps them"
        )
    return holding(inner[0], weights) if inner else optimizer


def _held(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
