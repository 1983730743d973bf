"""The arithmetic of a training: float32, or half precision by autocast, with weights in float32 or in half precision, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

AUTOCAST = {"bf16": torch.bfloat16, "pure_bf16": torch.bfloat16, "fp16": torch.float16}
WEIGHTS = {"pure_bf16": torch.bfloat16}


def with_weights_in(precision: str, model: nn.Module) -> nn.Module:
    """`model` with parameters (and so gradients and what the optimizer keeps of them) as the precision has them.

    Buffers stay: rotary frequencies in bfloat16 would turn late positions by a tenth of a radian.
    """
    if precision in WEIGHTS:
        for parameter in model.parameters():
            parameter.data = parameter.data.to(WEIGHTS[precision])
    return model


class Precision:
    """Forward passes, backward passes and optimizer steps at a precision: `float32`, `bf16`, `pure_bf16` or `fp16`.

    Gradients in fp16 underflow, so the loss is scaled up by what torch's GradScaler finds to work; a step whose gradients
    overflow is passed over. With a fused optimizer nothing of that waits for the device.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device, self._autocast = device.type, AUTOCAST.get(name)
        self._scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None
        self._begun = False

    def autocast(self) -> AbstractContextManager[Any]:
        """Around forward passes."""
        return torch.autocast(self._device, dtype=self._autocast) if self._autocast else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()

    def step(self, optimizer: torch.optim.Optimizer, apply: Callable[[Callable[[], object]], object]) -> None:
        """One optimizer step with gradients in their true size. apply: is given the step to make, at its own time."""
        scaler = self._scaler
        if scaler is None:
            apply(optimizer.step)
            return
        if not self._begun:
            _begin_momentum(optimizer)
            self._begun = True
        scaler.unscale_(optimizer)
        apply(lambda: scaler.step(optimizer))
        scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """What later steps depend on; empty unless the loss is scaled."""
        return {"scaler": self._scaler.state_dict()} if self._scaler else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; further keys are passed over."""
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Zeros where SGD has no momentum yet: torch's fused SGD leaves it as the memory was if its first step is passed over."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum") else ():
            optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
