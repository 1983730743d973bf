"""Image classification: the paper's MLPs (arXiv:2501.19107), and CNNs.

Shapes: N examples, B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.config.budget import Budget
from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig, ImageLength
from chtexp.config.models import ImageNetwork
from chtexp.config.own_parts import OwnNetwork, own_values
from chtexp.config.plugged import PLUGGED, PluginFailed
from chtexp.data import ImageData, PixelScale, random_crop_flip
from chtexp.distributed.group import ALONE, Processes
from chtexp.errors import UserError
from chtexp.models.image_networks import CLASSIFIERS
from chtexp.randomness import derive_seed, generator
from chtexp.tasks.base import Built, Tested
from chtexp.tasks.selection import Selection

CROP_PADDING = 4
EVALUATION_BATCH = 2000


def build_classifier(config: ImageNetwork, data: ImageDataConfig, seed: int) -> Built:
    """Build the network for a data set.

    Args:
        config: which network, and its sizes.
        data: the data set, which gives the shape of the images and the number of outputs.
        seed: decides the first weights.

    Returns:
        The network, with its sparse layers and their order.

    Raises:
        UserError: a plug-in's network cannot be built.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        if isinstance(config, OwnNetwork):
            return build_own(config, data)
        model = CLASSIFIERS[type(config)](config, data.shape, data.classes)
    assert isinstance(model, nn.Module)
    return Built(model, model.sparse_layers(), model.chains())


def build_own(config: OwnNetwork, data: ImageDataConfig) -> Built:
    """Build a plug-in's network, with the weights that torch's own generator draws.

    What it has as `sparse_layers` (names) and `chains` (sequences of them) is used; otherwise the engine looks at its modules.

    Args:
        config: which network, and its parameters.
        data: the data set.

    Raises:
        UserError: it cannot be built, or is no module.
    """
    own = PLUGGED.found["model", config.name]
    try:
        model = own.call(own_values(config, "model"), {"shape": lambda: data.shape, "classes": lambda: data.classes})
    except PluginFailed as error:
        raise UserError(str(error).replace(" failed", f" cannot be built for images {list(data.shape)}", 1)) from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{own.title} must return an nn.Module, not {type(model).__name__}")
    layers, chains = (_said_by(model, name) for name in ("sparse_layers", "chains"))
    if layers is not None and not (isinstance(layers, list | tuple) and all(isinstance(one, str) for one in layers)):
        raise UserError(f"sparse_layers of {own.title} must be a list of names, not {layers!r}")
    return Built(model, None if layers is None else list(layers), chains)


def _said_by(model: nn.Module, name: str) -> Any:
    """What a network says of itself by an attribute or a method of this name; None if it has none."""
    found = getattr(model, name, None)
    if isinstance(found, nn.Module):
        return None
    return found() if inspect.ismethod(found) else found


class Batch(NamedTuple):
    """A process's share of a batch.

    Attributes:
        images: [B, C, H, W] float32, normalised.
        labels: [B] int64.
        weight: the factor of its mean loss; 1 unless processes have shares of different sizes.
    """

    images: Tensor
    labels: Tensor
    weight: float


@contextmanager
def norms_at_rest(model: nn.Module) -> Iterator[None]:
    """Have the batch norms of a model in training normalise by what they have gathered, and gather nothing."""
    norms = [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


SELECTIONS = {
    "test": Selection(moment="best test", metric="accuracy", higher_is_better=True),
    "validation": Selection(moment="best validation", metric="validation_accuracy", higher_is_better=True),
}


class ImageClassification:
    """Classification of images; see `chtexp.tasks.Task`.

    Args:
        recipe: how to train.
        config: what the data set is said to be.
        budget: how much of it to use, and how long to train.
        images: the data set, which is kept in memory on `device`.
        seed: decides the order of the examples and their augmentation.
        device: where this process trains.
        processes: those that train together; they share every batch and every evaluation.

    Raises:
        UserError: the files hold another data set than `config` describes.
    """

    metric = "accuracy"
    higher_is_better = True

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
        self.selection = SELECTIONS[recipe.selection]
        self._scale = PixelScale(config.mean, config.std, device)
        self.recipe, self.config, self.seed, self.device = recipe, config, seed, device
        order = torch.randperm(images.train_labels.numel(), generator=generator(0, "subset", config.key))
        validation = order[: self.length.validation_examples]
        train = order[self.length.validation_examples :][: self.length.train_examples]
        self.train = (images.train_images[train].to(device), images.train_labels[train].to(device))
        self.validation = self._normalised(images.train_images[validation], images.train_labels[validation])
        tested = self.length.test_examples
        self.test = self._normalised(images.test_images[:tested], images.test_labels[:tested])

    def _normalised(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise this process's share of the examples to evaluate on: once, for it is always the same (4 bytes a pixel)."""
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
        """Iterate over batches: every epoch has each training example once, in an order of its own.

        Args:
            first_step: the step to begin with, from 0.

        Yields:
            This process's share of the batch, in one part.
        """
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
        """Compute the mean cross-entropy of a process's share of a batch.

        A single image has no statistics of its own: batch norms take those that they have gathered [choice].

        Args:
            model: the network.
            batch: the share.

        Returns:
            A scalar, in nats; its mean over processes is the mean cross-entropy of the whole batch.
        """
        with norms_at_rest(model) if len(batch.images) == 1 else nullcontext():
            loss = cross_entropy(model(batch.images), batch.labels)
        return loss if batch.weight == 1 else batch.weight * loss

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Evaluate on the test set and, where examples are held out, on these.

        Args:
            model: the network.

        Returns:
            `accuracy` (percent) and `test_loss` (nats an example) of the test set; `validation_accuracy` (percent) of the
            examples held out, where the recipe selects by them.
        """
        accuracy, loss = self._accuracy(model, *self.test)
        metrics = {"accuracy": accuracy, "test_loss": loss}
        if self.selection.moment == "best validation":
            metrics[self.selection.metric] = self._accuracy(model, *self.validation)[0]
        return metrics

    @torch.inference_mode()
    def _accuracy(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """The accuracy (percent) and mean cross-entropy (nats) of all processes' examples."""
        sums = torch.zeros(3, dtype=torch.double, device=self.device)  # correct ones, loss, all
        for some, wanted in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            logits = model(some)
            sums[0] += (logits.argmax(1) == wanted).sum()
            sums[1] += cross_entropy(logits.float(), wanted, reduction="sum")
        sums[2] += len(labels)
        right, loss, count = self.processes.sum(sums).tolist()
        return 100 * right / count, loss / count

    def final_scores(self, model: nn.Module) -> Tested:
        """Do not call this: the test accuracy is one of the metrics of every evaluation."""
        raise NotImplementedError

    def keepsakes(self) -> dict[str, str]:
        """Return nothing, because no model is kept."""
        return {}

    def features(self) -> Tensor:
        """Return the training pixels [N, F], float32, 0 to 255: correlation does not depend on their scale."""
        return self.train[0].flatten(1).float()

    def passed(self, step: int) -> dict[str, float]:
        """Count passes over the training set, as `epoch`."""
        return {"epoch": step / self.length.steps_per_epoch}

    def positions(self, step: int) -> int:
        """Count the images that the first `step` steps process."""
        return self.length.positions(step)
