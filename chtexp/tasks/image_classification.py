"""Image classification by the paper's recipe (arXiv:2501.19107, MLP experiments).

Shapes: N examples, B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.data import ImageData, PixelScale, random_crop_flip
from chtexp.errors import UserError
from chtexp.models.mlp import MLP, MLPConfig
from chtexp.processes import ALONE, Processes
from chtexp.randomness import derive_seed, generator
from chtexp.tasks.base import Budget, Built, Tested
from chtexp.typed import Description

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
CROP_PADDING = 4
EVALUATION_BATCH = 2000


class ImageDataConfig(Description):
    """A data set: sizes, per-channel mean and std of pixels in [0, 1], and the paper's MLP widths on it.

    stands_in_for: the data set of the paper whose cells this one fills, marked, where it is asked for by name.
    """

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

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> ImageDataConfig:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.shape[0]:
                raise UserError(f"data.{name} needs one number for each of {self.shape[0]} channels, not {len(values)}")
        return self


class Optimizer(Description):
    name: Literal["sgd"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4


class LearningRate(Description):
    """Linear from `start` to `end`, reached at the fraction `until` of training [choice: 0.9], then constant."""

    schedule: Literal["linear"] = "linear"
    start: PositiveFloat = 0.025
    end: Annotated[float, Field(ge=0)] = 2.5e-4
    until: Annotated[float, Field(gt=0, le=1)] = 0.9


class ImageClassificationRecipe(Description):
    """epochs: passes over the training set at the full budget. update_epochs: passes between topology updates.

    selection: `test` is the paper's protocol (best test accuracy over epochs); `validation` holds out
    `validation_fraction` of the training set and reports test accuracy at the best validation epoch.
    """

    name: Literal["image_classification"] = "image_classification"
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 32
    update_epochs: PositiveInt = 1
    optimizer: Optimizer = Optimizer()
    learning_rate: LearningRate = LearningRate()
    selection: Literal["test", "validation"] = "test"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    cpu_fraction: Annotated[float, Field(gt=0, le=1, json_schema_extra={"identity": False})] = 0.1


class ImageLength:
    """How long a training is, before any data is read: a pure function of the descriptions."""

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

    def positions(self, step: int) -> int:
        """Images that the first `step` steps process."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.train_examples + min(steps * self.batch_size, self.train_examples)


def build_mlp(config: MLPConfig, data: ImageDataConfig, seed: int) -> Built:
    """The MLP for a data set; its first weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = MLP(math.prod(data.shape), config.hidden, data.classes)
    return Built(model, model.sparse_layers(), model.chains())


class Batch(NamedTuple):
    """Normalised images [B, C, H, W], their labels [B], and what the loss of this part of a batch counts.

    weight: 1 but where processes that share a batch have parts of different size.
    """

    images: Tensor
    labels: Tensor
    weight: float


class ImageClassification:
    """Classification of images held in memory as uint8 tensors on `device`; see `chtexp.tasks.Task`.

    processes: they share every batch and every evaluation.
    """

    metric = "accuracy"
    higher_is_better = True
    validation_higher_is_better = True
    reports_last = tests_once = keeps_selected = False

    def __init__(
        self,
        recipe: ImageClassificationRecipe,
        config: ImageDataConfig,
        budget: Budget,
        images: ImageData,
        *,
        seed: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.processes, self.chance_loss = processes, math.log(config.classes)
        self.length = ImageLength(recipe, config, budget)
        self._check(config, images)
        self.total_steps = self.length.total_steps
        self.evaluate_interval = self.length.steps_per_epoch
        self.update_interval = self.length.update_interval
        self.validation_metric = "validation_accuracy" if recipe.selection == "validation" else None
        self._scale = PixelScale(config.mean, config.std, device)
        self.recipe, self.config, self.seed, self.device = recipe, config, seed, device
        order = torch.randperm(images.train_labels.numel(), generator=generator(0, "subset", config.name))
        validation = order[: self.length.validation_examples]
        train = order[self.length.validation_examples :][: self.length.train_examples]
        self.train = (images.train_images[train].to(device), images.train_labels[train].to(device))
        self.validation = self._normalised(images.train_images[validation], images.train_labels[validation])
        tested = self.length.test_examples
        self.test = self._normalised(images.test_images[:tested], images.test_labels[:tested])

    def _normalised(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """This process's part of what is evaluated on, the same every time: normalised once, four bytes a pixel."""
        part = slice(self.processes.rank, None, self.processes.world)
        return self._scale(images[part].to(self.device)), labels[part].to(self.device)

    def _check(self, config: ImageDataConfig, images: ImageData) -> None:
        found = (
            len(images.train_labels),
            len(images.test_labels),
            tuple(images.train_images.shape[1:]),
            images.classes,
        )
        wanted = (config.train_examples, config.test_examples, config.shape, config.classes)
        for what, is_, should in zip(
            ("train_examples", "test_examples", "shape", "classes"), found, wanted, strict=True
        ):
            if is_ != should:
                raise UserError(f"data.{what} is {should}, but the files of '{config.name}' hold {is_}")

    def batches(self, first_step: int) -> Iterator[tuple[Batch]]:
        """Every training example once an epoch in the epoch's own order; of each batch this process's part."""
        images, labels = self.train
        size, rank, world = self.length.batch_size, self.processes.rank, self.processes.world
        for step in range(first_step, self.total_steps):
            epoch, position = divmod(step, self.length.steps_per_epoch)
            if position == 0 or step == first_step:
                order = torch.randperm(len(labels), generator=generator(self.seed, "order", epoch)).to(self.device)
            chosen = order[position * size : (position + 1) * size]
            part = slice(rank, None, world) if rank < len(chosen) else slice(0, 1)  # none left: one that counts 0
            mine = chosen[part]
            batch = images.index_select(0, mine)
            if self.config.augment == "crop_flip":
                draws = generator(self.seed, "augment", step, device=self.device)
                batch = random_crop_flip(batch, CROP_PADDING, draws, of=len(chosen), part=part)
            weight = world * len(mine) / len(chosen) if rank < len(chosen) else 0.0
            yield (Batch(self._scale(batch), labels[mine], weight),)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy, in nats; its mean over all processes is that of the whole batch."""
        loss = cross_entropy(model(batch.images), batch.labels)
        return loss if batch.weight == 1 else batch.weight * loss

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """`accuracy` on test in percent, `test_loss` in nats, and `validation_accuracy` where a part is held out."""
        accuracy, loss = self._accuracy(model, *self.test)
        metrics = {"accuracy": accuracy, "test_loss": loss}
        if self.validation_metric:
            metrics[self.validation_metric] = self._accuracy(model, *self.validation)[0]
        return metrics

    @torch.inference_mode()
    def _accuracy(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
        sums = torch.zeros(3, dtype=torch.double, device=self.device)  # right ones, loss, all
        for some, wanted in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            logits = model(some)
            sums[0] += (logits.argmax(1) == wanted).sum()
            sums[1] += cross_entropy(logits.float(), wanted, reduction="sum")
        sums[2] += len(labels)
        right, loss, count = self.processes.sum(sums).tolist()
        return 100 * right / count, loss / count

    def final_scores(self, model: nn.Module) -> Tested:
        """Never asked: test accuracy is one of the metrics of every evaluation."""
        raise NotImplementedError

    def keepsakes(self) -> dict[str, str]:
        """None: no model is kept."""
        return {}

    def features(self) -> Tensor:
        """Training pixels [N, F], as floats; correlation does not depend on their scale."""
        return self.train[0].flatten(1).float()

    def passed(self, step: int) -> dict[str, float]:
        """Passes over the training set."""
        return {"epoch": step / self.length.steps_per_epoch}

    def positions(self, step: int) -> int:
        """Images that the first `step` steps process."""
        return self.length.positions(step)
