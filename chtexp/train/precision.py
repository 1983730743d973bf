"""The precision of a training: float32, or half precision by autocast, with weights in float32 or in half precision, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from chtexp.train.saved import PrecisionState

AUTOCAST = {"bf16": torch.bfloat16, "pure_bf16": torch.bfloat16, "fp16": torch.float16}
WEIGHTS = {"pure_bf16": torch.bfloat16}


def with_weights_in(precision: str, model: nn.Module) -> nn.Module:
    """Convert a model's parameters, and so their gradients and the optimizer's state, to a precision.

    Buffers keep their type: rotary frequencies in bfloat16 would turn late positions by a tenth of a radian. So do batch norms,
    whose gain and bias must have the type of what they remember.

    Args:
        precision: `pure_bf16` for weights in bfloat16; all others leave them as they are.
        model: the model, changed in place.

    Returns:
        The same model.
    """
    if precision in WEIGHTS:
        kept = {id(one) for module in model.modules() if isinstance(module, _NormBase) for one in module.parameters()}
        for parameter in model.parameters():
            if id(parameter) not in kept:
                parameter.data = parameter.data.to(WEIGHTS[precision])
    return model


class Precision:
    """Forward passes, backward passes and optimizer steps at a precision.

    Gradients in fp16 underflow, so torch's GradScaler scales the loss up, and skips a step whose gradients overflow. With a
    fused optimizer none of this waits for the device.

    Args:
        name: `float32`, `bf16`, `pure_bf16` or `fp16`.
        device: where the training runs.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device, self._autocast = device.type, AUTOCAST.get(name)
        self._scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None
        self._begun = False

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context for forward passes."""
        return torch.autocast(self._device, dtype=self._autocast) if self._autocast else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of `loss`, a scalar, which adds its gradients."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()

    def step(self, optimizer: torch.optim.Optimizer, apply: Callable[[Callable[[], object]], object]) -> None:
        """Make one optimizer step, with gradients at their true scale.

        Args:
            optimizer: the optimizer.
            apply: is given the function that makes the step, and calls it.
        """
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

    def state_dict(self) -> PrecisionState:
        """Return what later steps depend on; it is empty unless the loss is scaled."""
        return {"scaler": self._scaler.state_dict()} if self._scaler else {}

    def load_state_dict(self, state: PrecisionState) -> None:
        """Continue from a state that `state_dict` returned; other keys are ignored."""
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Set SGD's momentum to zero where there is none: torch's fused SGD leaves it uninitialised if its first step is skipped."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum") else ():
            optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
