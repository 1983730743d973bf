"""What the training loop knows of a task. It counts optimizer steps; epochs, tokens and images are known to the task alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from chtexp.tasks.selection import Selection
from chtexp.topology import Junction

Part: TypeAlias = Any  # of a step's batch: each task has its own kind, which its `batches` makes and its `loss` takes


@dataclass(frozen=True)
class Tested:
    """The test scores of the selected model.

    Attributes:
        metrics: the scores by name.
        details: how they were computed, as JSON values by name.
        files: texts to keep in the run's folder, by file name.
    """

    metrics: Mapping[str, float]
    details: Mapping[str, object]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Built:
    """A model, and what is known of its layers.

    Attributes:
        model: the network.
        sparse_layers: the names of its sparse layers, in order; None: as `DynamicSparsity` finds them.
        chains: which of them feed which, for percolation: sequences of layer names, or junctions; None: likewise.
    """

    model: nn.Module
    sparse_layers: list[str] | None
    chains: Sequence[Sequence[str] | Junction] | None


class Task(Protocol):
    """Everything that the training loop asks of a task.

    Attributes:
        total_steps: optimizer steps of the whole training.
        evaluate_interval: optimizer steps between two evaluations.
        update_interval: optimizer steps between two topology updates.
        metric: the name of the metric that runs are judged by.
        higher_is_better: whether a higher value of this metric is better.
        selection: which evaluation counts, and what becomes of its model.
        chance_loss: the loss in nats of a network that has learned nothing: all classes or tokens are equally likely.
    """

    total_steps: int
    evaluate_interval: int
    update_interval: int
    metric: str
    higher_is_better: bool
    selection: Selection
    chance_loss: float

    def batches(self, first_step: int) -> Iterator[Sequence[Part]]:
        """Iterate over the batches of the training. A batch is a function of the seed and the step alone.

        Args:
            first_step: the step to begin with, from 0.

        Returns:
            The batch of every step from there to the last. A batch consists of parts that fit into memory one at a time;
            where processes share a training, each gets its own share of every batch.
        """

    def loss(self, model: nn.Module, part: Part) -> Tensor:
        """Compute the loss of one part of a batch.

        Args:
            model: the network.
            part: the part, as `batches` made it.

        Returns:
            A scalar, in nats. The losses of all parts of a batch, averaged over processes, add up to the batch's mean loss.
        """

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Evaluate the model as it is. This does not influence the training.

        Args:
            model: the network, in evaluation mode.

        Returns:
            The metrics by name, the same in every process.
        """

    def final_scores(self, model: nn.Module) -> Tested:
        """Test the selected model; only called where `selection.tested_once` is set.

        Args:
            model: the network, in evaluation mode.

        Returns:
            Its scores, the same in every process.
        """

    def keepsakes(self) -> Mapping[str, str]:
        """Return what the selected model needs besides its weights, such as its vocabulary: texts by file name."""

    def features(self) -> Tensor | None:
        """Return the training inputs [N, F] for topologies that correlate them; None if inputs are no vectors."""

    def passed(self, step: int) -> dict[str, float]:
        """Express a step in the task's own units, e.g. {"epoch": 3.0}."""

    def positions(self, step: int) -> int:
        """Count the positions (images, tokens) that the first `step` steps process; each costs 6 FLOPs a weight to train."""
