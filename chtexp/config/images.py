"""Image classification described: a data set, the recipe, and its length (arXiv:2501.19107, MLP experiments)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from chtexp.config.budget import Budget
from chtexp.config.learning_rates import LearningRate, StepDecay
from chtexp.config.optimizers import Sgd
from chtexp.config.own_images import OwnImages
from chtexp.config.typed import Description
from chtexp.errors import UserError

FEWEST_UPDATES = 10


class ImageDataConfig(Description):
    """A data set of images.

    Attributes:
        family: `images`.
        name: as chosen.
        shape: channels, height and width, in pixels.
        classes: how many.
        train_examples: training images.
        test_examples: test images.
        mean: of the pixels of each channel, in [0, 1].
        std: standard deviation of the pixels of each channel.
        augment: what is done to training images.
        mlp_hidden: widths of the paper's MLP on it.
        stands_in_for: the data set of the paper whose cells this one fills, marked, where it is asked for by name.
        own: of images of one's own: where they were found, and what was measured. Their name is no part of what they are.
    """

    family: Literal["images"] = Field(default="images", json_schema_extra={"identity": False})
    name: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: Annotated[int, Field(ge=2)]
    train_examples: PositiveInt
    test_examples: PositiveInt
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]
    augment: Literal["none", "crop_flip"] = "none"
    mlp_hidden: tuple[PositiveInt, ...] = Field(default=(), json_schema_extra={"identity": False})
    stands_in_for: str | None = Field(default=None, json_schema_extra={"identity": False})
    own: OwnImages | None = None

    @property
    def key(self) -> str:
        """What random draws about the data set are named by: the same wherever it lies."""
        return self.own.fingerprint if self.own else self.name

    def identifies(self, field: str) -> bool:
        """Tell whether a field makes the data what they are: the name does, except of images of one's own."""
        if field in ("name", "own"):
            return (field == "own") == (self.own is not None)
        return super().identifies(field)

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> ImageDataConfig:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.shape[0]:
                raise UserError(f"data.{name} needs one number for each of {self.shape[0]} channels, not {len(values)}")
        return self


class ImageClassificationRecipe(Description):
    """How a network that classifies images is trained.

    Attributes:
        name: `image_classification`.
        epochs: passes over the training set at the full budget.
        batch_size: images of one step.
        update_epochs: passes between topology updates.
        update_steps: optimizer steps between topology updates instead; None: passes count.
        optimizer: of all weights.
        learning_rate: over the training.
        selection: `test` is the paper's protocol (best test accuracy over epochs). `validation` holds out a part of the training
            set and reports test accuracy at the best validation epoch.
        validation_fraction: the part of the training set that `validation` holds out, in (0, 1).
        cpu_fraction: of the epochs at budget=cpu.
    """

    name: Literal["image_classification"] = "image_classification"
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 32
    update_epochs: PositiveInt = 1
    update_steps: PositiveInt | None = Field(default=None, json_schema_extra={"identity": "unless default"})
    optimizer: Sgd = Sgd()
    learning_rate: Annotated[LearningRate | StepDecay, Field(discriminator="schedule")] = LearningRate()
    selection: Literal["test", "validation"] = "test"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    cpu_fraction: Annotated[float, Field(gt=0, le=1, json_schema_extra={"identity": False})] = 0.1


class ImageLength:
    """How long a training is, before any data is read: a pure function of the descriptions.

    Where updates are `update_steps` apart, and a short budget leaves room for fewer than ten, about ten are spread over it
    [choice].

    Args:
        recipe: of the training.
        data: the data set.
        budget: how much of the training is done.

    Raises:
        UserError: the budget leaves nothing to train on or to validate with.
    """

    def __init__(self, recipe: ImageClassificationRecipe, data: ImageDataConfig, budget: Budget) -> None:
        examples = min(data.train_examples, budget.train_limit or data.train_examples)
        self.validation_examples = (
            round(recipe.validation_fraction * examples) if recipe.selection == "validation" else 0
        )
        self.train_examples = examples - self.validation_examples
        if self.train_examples < 1 or (recipe.selection == "validation" and self.validation_examples < 1):
            raise UserError(
                f"task.validation_fraction {recipe.validation_fraction:g} of {examples} examples leaves "
                f"{self.validation_examples} to validate and {self.train_examples} to train on; both need at least 1"
            )
        self.test_examples = min(data.test_examples, budget.test_limit or data.test_examples)
        self.epochs = budget.of(recipe.epochs)
        self.said = budget.said("task.epochs", recipe.epochs)
        self.batch_size = recipe.batch_size
        self.steps_per_epoch = math.ceil(self.train_examples / recipe.batch_size)
        self.total_steps = self.epochs * self.steps_per_epoch
        self.update_interval = recipe.update_epochs * self.steps_per_epoch
        if recipe.update_steps is not None:
            self.update_interval = max(1, min(recipe.update_steps, self.total_steps // FEWEST_UPDATES))

    def positions(self, step: int) -> int:
        """Count the images that a training processes.

        Args:
            step: the training's first so many optimizer steps.
        """
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.train_examples + min(steps * self.batch_size, self.train_examples)
