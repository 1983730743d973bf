"""What the training loop knows of a task. It counts optimizer steps; epochs, tokens or images are the task's own affair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field
from torch import Tensor, nn

from chtexp.typed import Description

PositiveInt = Annotated[int, Field(ge=1)]


class Budget(Description):
    """How much of the paper's training is done.

    fraction: of the paper's length. train_limit, test_limit: at most so many items of the task's own kind (images,
    sentence pairs, documents); None: all.
    """

    name: str
    fraction: Annotated[float, Field(gt=0, le=1)]
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None

    def of(self, length: int) -> int:
        """What becomes of a length, in steps or epochs, that is given at the full budget; 1 at least."""
        return max(1, round(length * self.fraction))

    def said(self, key: str, length: int) -> str:
        """`of`, in words: `task.steps=20 at budget=smoke is 1 step`. key: where the length is set."""
        left, unit = self.of(length), key.rpartition(".")[2]
        return f"{key}={length} at budget={self.name} is {left} {unit.removesuffix('s') if left == 1 else unit}"


@dataclass(frozen=True)
class Tested:
    """What the selected model scored: numbers, what is to be known of them, and files (name and text) to keep beside them."""

    metrics: Mapping[str, float]
    details: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Built:
    """A model, the names of its sparse layers in order, and which of them feed which."""

    model: nn.Module
    sparse_layers: list[str]
    chains: Sequence[Any]


class Task(Protocol):
    """Everything that the loop asks of a task.

    total_steps: optimizer steps of the whole training. evaluate_interval, update_interval: steps between evaluations and
    between topology updates. metric: the key that runs are judged by; higher_is_better says how.
    validation_metric: the key of the held-out metric by which the best moment is selected, or None.
    reports_last: the moment that counts is the end, whatever was better before.
    tests_once: the metric is not one of `evaluate` but of `final_scores`, which judges the selected model alone, at the end.
    keeps_selected: the selected model is worth keeping, to be used when all is over.
    chance_loss: the loss, in nats, where all classes or tokens are held as likely: of a network that has learned nothing.
    """

    total_steps: int
    evaluate_interval: int
    update_interval: int
    metric: str
    higher_is_better: bool
    validation_metric: str | None
    validation_higher_is_better: bool
    reports_last: bool
    tests_once: bool
    keeps_selected: bool
    chance_loss: float

    def batches(self, first_step: int) -> Iterator[Sequence[Any]]:
        """Of every step from `first_step` (0-based) to the end: its parts, a function of the seed and the step alone.

        Parts are what fits the memory at once, and of each what is this process's, where several share a training.
        """

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        """A scalar; the losses of all parts add up to the mean loss of the step, averaged over all processes."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the model as it is, the same in every process; leaves no trace on training."""

    def final_scores(self, model: nn.Module) -> Tested:
        """Scores of the selected model, the same in every process."""

    def keepsakes(self) -> Mapping[str, str]:
        """Files (name and text) that the selected model needs besides its weights, e.g. its vocabulary."""

    def features(self) -> Tensor | None:
        """Training inputs [N, F] for topologies that correlate them, or None."""

    def passed(self, step: int) -> dict[str, float]:
        """Where `step` stands in the task's own units, e.g. {"epoch": 3.0}."""

    def positions(self, step: int) -> int:
        """Positions (images, tokens) that the first `step` steps process: each costs 6 FLOPs a weight to train."""
