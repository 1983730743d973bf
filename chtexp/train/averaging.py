"""Gradients as the mean over all processes that train together.

Where weights keep their shape, torch's DistributedDataParallel averages while the backward pass still runs. Layers that hold
their links alone change shape whenever the topology does: their gradients, few as they are, are averaged after it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from chtexp.processes import Processes
from chtexp.sparse import DynamicSparsity


class Averaging(Protocol):
    """model: what forward passes call. average: to be called after the last backward pass of a step.

    postponed: forward and backward passes inside leave their gradients to be averaged together with the next ones'.
    """

    @property
    def model(self) -> nn.Module: ...

    def average(self) -> None: ...

    def postponed(self) -> AbstractContextManager[Any]: ...


def averaging(model: nn.Module, sparsity: DynamicSparsity, processes: Processes) -> Averaging:
    """What this training needs."""
    if processes.world == 1:
        return NoAveraging(model)
    if sparsity.keeps_matrices:
        return WhileBackward(model)
    return AfterBackward(model, processes)


class NoAveraging:
    """One process alone."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def average(self) -> None:
        pass

    def postponed(self) -> AbstractContextManager[Any]:
        return nullcontext()


class WhileBackward:
    """By DistributedDataParallel. Every process begins with the weights of the first."""

    def __init__(self, model: nn.Module) -> None:
        self.model = DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def average(self) -> None:
        pass

    def postponed(self) -> AbstractContextManager[Any]:
        return self.model.no_sync()


class AfterBackward:
    """All gradients in one message, when all are there."""

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        self.model, self._processes = model, processes
        for parameter in model.parameters():
            processes.led(parameter.data)

    def postponed(self) -> AbstractContextManager[Any]:
        return nullcontext()

    @torch.no_grad()
    def average(self) -> None:
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        together = self._processes.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = together.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]
        )
