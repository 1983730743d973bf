"""The arithmetic of a training: float32, or half precision by autocast, with float32 weights either way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from chtexp.sparse import DynamicSparsity

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Forward passes, backward passes and optimizer steps at a precision: `float32`, `bf16` or `fp16`.

    Gradients in fp16 underflow, so the loss is scaled up by what torch's GradScaler finds to work; a step whose gradients
    overflow is passed over. With a fused optimizer nothing of that waits for the device.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device, self._autocast = device.type, AUTOCAST.get(name)
        self._scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """Around forward passes."""
        return torch.autocast(self._device, dtype=self._autocast) if self._autocast else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()

    def step(self, sparsity: DynamicSparsity) -> None:
        """`sparsity.apply_gradients`, of gradients in their true size."""
        scaler, optimizer = self._scaler, sparsity.optimizer
        if scaler is None:
            sparsity.apply_gradients()
            return
        scaler.unscale_(optimizer)
        sparsity.apply_gradients(lambda: scaler.step(optimizer))
        scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """What later steps depend on; empty unless the loss is scaled."""
        return {"scaler": self._scaler.state_dict()} if self._scaler else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; further keys are passed over."""
        if self._scaler:
            self._scaler.load_state_dict(state["scaler"])
