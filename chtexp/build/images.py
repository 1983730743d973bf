"""The parts of a run of image classification.

Shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.build.builder import sgd, task_class
from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig
from chtexp.config.learning_rates import StepDecay
from chtexp.config.models import ImageNetwork
from chtexp.config.run import Run
from chtexp.data import ImageData, Origin, load_images, prepare_images
from chtexp.data.own_images import load_own_images, prepare_own_images
from chtexp.distributed.group import ALONE, Processes
from chtexp.tasks import Built, ImageClassification, Task
from chtexp.tasks.image_classification import build_classifier
from chtexp.train.learning_rate import LastUpdate, Rate, linear, steps


@dataclass(frozen=True)
class ImageBuilder:
    """Builds runs of image classification; see `Builder`."""

    run: Run
    data: ImageDataConfig
    network: ImageNetwork
    recipe: ImageClassificationRecipe

    def model(self) -> Built:
        """Make the network with its first weights."""
        return build_classifier(self.network, self.data, self.run.seed)

    def task(self, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, Origin]:
        """Load the data and make the task."""
        images = self._load(root)
        task = task_class(self.recipe, ImageClassification)(
            self.recipe,
            self.data,
            self.run.budget,
            images,
            seed=self.run.seed,
            device=device,
            processes=processes,
        )
        return task, Origin(images.source, images.deviations)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the recipe's optimizer."""
        return sgd(self.recipe, model)

    def learning_rate(self, total_steps: int, last_update: LastUpdate) -> Rate:
        """Make the recipe's learning rate."""
        rate = self.recipe.learning_rate
        if isinstance(rate, StepDecay):
            return steps(rate.start, rate.factor, rate.at, total_steps)
        return linear(rate.start, rate.end, rate.until, total_steps)

    def prepare(self) -> None:
        """Fetch and prepare the data. Of images of one's own every byte is compared with what was measured."""
        if self.data.own:
            prepare_own_images(self.data.name, self.data.own, self.run.paths.prepared)
        else:
            prepare_images(self.data.name, self.run.paths.data)

    def _load(self, root: Path | None) -> ImageData:
        if self.data.own:
            return load_own_images(self.data.name, self.data.own, self.run.paths.prepared)
        return load_images(self.data.name, root)

    def example_loss(self, model: nn.Module, processes: int) -> Callable[[], Tensor]:
        """Make a forward pass on example data."""
        batch = -(-self.recipe.batch_size // processes)
        images_BCHW = torch.zeros(batch, *self.data.shape)
        labels_B = torch.zeros(batch, dtype=torch.long)
        return lambda: cross_entropy(model(images_BCHW), labels_B)
