"""What a builder makes of a run's description: network, task, optimizer, learning rate, prepared data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from chtexp.config.families import Recipe
from chtexp.config.images import ImageClassificationRecipe
from chtexp.config.optimizers import Adam
from chtexp.config.own_parts import own_values
from chtexp.config.plugged import PLUGGED, PluginFailed
from chtexp.data import Origin
from chtexp.distributed.group import ALONE, Processes
from chtexp.tasks import Built, Task
from chtexp.train.learning_rate import LastUpdate, Rate

T = TypeVar("T")


def task_class(recipe: Recipe, shipped: type[T]) -> type[T]:
    """Choose the class of a task: the shipped one, or a plug-in's that extends it, with its parameters.

    Args:
        recipe: the description of the task.
        shipped: the class of the package.
    """
    own = PLUGGED.found.get(("task", recipe.name))
    if own is None:
        return shipped
    assert isinstance(own.function, type)
    shipped_or_own: Any = own.function

    def loss(self: Any, model: nn.Module, part: Any) -> Tensor:
        value = shipped_or_own.loss(self, model, part)
        if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
            said = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise PluginFailed(f"{own.title}: loss must return a scalar tensor that depends on the network, not {said}")
        return value

    return type(own.function.__name__, (own.function,), {**own_values(recipe, "task"), "loss": loss})


class Builder(Protocol):
    """Makes the parts of one run."""

    def model(self) -> Built:
        """Make the network with its first weights, on torch's default device."""

    def task(self, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, Origin]:
        """Load the data and make the task.

        Args:
            root: the folder of the data sets; None: only data that come with the package.
            device: where this process trains.
            processes: those that train together.

        Returns:
            The task, and where its data come from.

        Raises:
            UserError: the data are missing, or are not what the run describes.
        """

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the recipe's optimizer of all parameters of the model."""

    def learning_rate(self, total_steps: int, last_update: LastUpdate) -> Rate:
        """Make the recipe's learning rate.

        Args:
            total_steps: optimizer steps of the whole training.
            last_update: returns the step of the last topology update, as far as it is known now.

        Returns:
            The learning rate as a function of the step.
        """

    def prepare(self) -> None:
        """Fetch and prepare the data."""

    def example_loss(self, model: nn.Module, processes: int) -> Callable[[], Tensor]:
        """Make a forward pass on example data, from which its cost is measured.

        Args:
            model: the network, on torch's default device.
            processes: how many processes share a batch.

        Returns:
            A function that computes the loss, a scalar, on as much data as one forward pass of one process takes.
        """


def sgd(recipe: ImageClassificationRecipe, model: nn.Module) -> torch.optim.Optimizer:
    """Make the recipe's SGD of all parameters, at the learning rate of the first step."""
    settings = recipe.optimizer
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate.start,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
        fused=True,
    )


def adam(settings: Adam, model: nn.Module) -> torch.optim.Optimizer:
    """Make Adam of all parameters; its learning rate is set before every step."""
    betas = (settings.beta1, settings.beta2)
    return torch.optim.Adam(model.parameters(), betas=betas, eps=settings.epsilon, fused=True)
