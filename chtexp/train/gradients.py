"""Averages of gradients over all processes that train together.

Where weights keep their shape, torch's DistributedDataParallel averages during the backward pass. The weights of layers that
hold their links alone change shape with the topology: their gradients are few, and are averaged after the backward pass.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from chtexp.distributed.group import Processes
from chtexp.sparse import DynamicSparsity


class Averaging(Protocol):
    """A way to average gradients."""

    @property
    def model(self) -> nn.Module:
        """The model that forward passes must call."""

    def average(self) -> None:
        """Average all gradients; to be called after the last backward pass of a step."""

    def postponed(self) -> AbstractContextManager[object]:
        """Return a context in which passes add up gradients that are averaged later, with those of the next pass."""


def averaging(model: nn.Module, sparsity: DynamicSparsity, processes: Processes) -> Averaging:
    """Choose how the gradients of a training are averaged.

    Args:
        model: the model.
        sparsity: says whether all weights keep their shape.
        processes: those that train together.

    Returns:
        The way to average.
    """
    if processes.world == 1:
        return NoAveraging(model)
    if sparsity.keeps_matrices:
        return WhileBackward(model)
    return AfterBackward(model, processes)


class NoAveraging:
    """Averages nothing: there is one process."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def average(self) -> None:
        """Do nothing."""

    def postponed(self) -> AbstractContextManager[object]:
        """Return a context without effect."""
        return nullcontext()


class WhileBackward:
    """Averages during the backward pass, by DistributedDataParallel. Every process begins with the leader's weights."""

    def __init__(self, model: nn.Module) -> None:
        self.model = DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def average(self) -> None:
        """Do nothing: the gradients are averaged already."""

    def postponed(self) -> AbstractContextManager[object]:
        """Return a context in which backward passes do not average."""
        return self.model.no_sync()


class AfterBackward:
    """Averages all gradients at once, after the backward pass. Every process begins with the leader's weights."""

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        self.model, self._processes = model, processes
        for parameter in model.parameters():
            processes.broadcast(parameter.data)

    def postponed(self) -> AbstractContextManager[object]:
        """Return a context without effect: nothing is averaged before `average`."""
        return nullcontext()

    @torch.no_grad()
    def average(self) -> None:
        """Average the gradients of all parameters, in place."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        together = self._processes.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = together.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]
        )
