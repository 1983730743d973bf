"""One training, from its first or any later step to its end. It counts optimizer steps and knows no task by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

import torch
from torch import nn

from chtexp.distributed.group import ALONE, Processes
from chtexp.randomness import derive_seed
from chtexp.sparse import (
    DynamicSparsity,
    dense_weights,
    load_training_state,
    portable_weights,
    training_state,
)
from chtexp.sparse.portable import PortableWeights
from chtexp.sparse.restored import restored
from chtexp.store.records import LARGEST
from chtexp.system.kernels_cache import clock, threads_for_kernels
from chtexp.tasks import Task, Tested
from chtexp.tasks.base import Part
from chtexp.train.beside import Beside, Watch
from chtexp.train.checkpoint import random_state, restore_random_state
from chtexp.train.gradients import averaging
from chtexp.train.precision import Precision
from chtexp.train.saved import TrainingState

FINITE_CHECK_STEPS = 200  # reading the loss waits for the device, so it is rare
DIVERGED = 1.1  # times the loss of guessing: a network that never learns stays closer to it


class Diverged(RuntimeError):
    """The training diverged: its loss is not finite, or is above that of guessing although it was below."""


class Observer(Protocol):
    """Is told how a training goes."""

    def record(self, record: Mapping[str, object]) -> None:
        """Take in the record of one evaluation or one topology update, as JSON values by name."""

    def stepped(self, step: int) -> None:
        """Take in that one more optimizer step is done; `step` are done by now."""

    def select(self, weights: Callable[[], PortableWeights]) -> None:
        """Keep the model as it is now, the best so far.

        Args:
            weights: returns a copy of its weights. Only called of a task that keeps its model.
        """

    def checkpoint(self, state: Callable[[], TrainingState | None], *, last: bool) -> None:
        """Save a checkpoint, if one is due.

        Args:
            state: returns what to save; see `Training.state_dict`. If one process calls it, all must.
            last: whether the training is over, so that a checkpoint must be saved.
        """


@dataclass
class Judged:
    """The metrics that a run is judged by, in the task's own units.

    Only evaluations at the final density count: before, the network is not as sparse as the run says.

    Attributes:
        last: the metrics of the last evaluation, at whatever density.
        best: the best value of the task's metric.
        best_step: its step.
        selected: the task's metric at the selected evaluation: the one with the best validation metric, or the last one, as
            the task wants. Of a task that tests once it is known only when the training is over.
        selected_by: the metric by which that evaluation was selected.
        selected_step: its step.
        train_loss: the mean training loss between the last two evaluations, in nats.
    """

    last: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    best_step: int | None = None
    selected: float | None = None
    selected_by: float | None = None
    selected_step: int | None = None
    train_loss: float | None = None

    def judge(self, task: Task, metrics: dict[str, float], step: int, at_final_density: bool) -> bool:
        """Take in one evaluation.

        Args:
            task: says which metric counts, and which evaluation is selected.
            metrics: what was evaluated, by name.
            step: optimizer steps so far.
            at_final_density: whether the network is as sparse as it will be.

        Returns:
            Whether this evaluation is the one to select, of those so far.
        """
        self.last = metrics
        if not at_final_density:
            return False
        value = metrics.get(task.metric)
        if value is not None and _better(value, self.best, task.higher_is_better):
            self.best, self.best_step = value, step
        selection = task.selection
        if selection.moment == "best test":
            return False
        by = metrics[selection.metric]
        selected = selection.moment == "last" or _better(by, self.selected_by, selection.higher_is_better)
        if selected:
            self.selected, self.selected_by, self.selected_step = value, by, step
        return selected


def _better(value: float, than: float | None, higher: bool) -> bool:
    return than is None or (value > than if higher else value < than)


def _compiled(model: nn.Module) -> nn.Module:
    compiled = torch.compile(model)
    assert isinstance(compiled, nn.Module)
    return compiled


class Training:
    """A training of a model on a task, with an optimizer and dynamic sparsity.

    Args:
        model: the network, on `device`.
        task: what it learns.
        optimizer: of its parameters.
        sparsity: of its layers; it makes the optimizer's steps.
        learning_rate: the learning rate as a function of the step.
        device: where this process trains.
        precision: `float32`; `bf16` or `fp16` for autocast with float32 weights; `pure_bf16` for weights in bfloat16, too.
        compiled: whether training passes go through torch.compile.
        processes: those that train together; each runs this with its share of every batch.

    Attributes:
        step: optimizer steps so far.
        judged: the metrics so far.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimizer: torch.optim.Optimizer,
        sparsity: DynamicSparsity,
        learning_rate: Callable[[int], float],
        *,
        device: torch.device,
        precision: str = "float32",
        compiled: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        self.processes, self._compiled = processes, compiled
        self.model, self.task, self.optimizer, self.sparsity = model, task, optimizer, sparsity
        self.learning_rate, self.device, self.precision = learning_rate, device, Precision(precision, device)
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.step = 0
        self.seconds = 0.0
        self.judged = Judged()
        self._loss_sum, self._summed = torch.zeros((), device=device), 0  # since the last evaluation
        self._since = clock()
        self._beside_before, self._watch = Beside(), None  # type: tuple[Beside, Watch | None]

    def run(self, observer: Observer) -> Judged:
        """Train from the current step to the end.

        Args:
            observer: is told of every step, evaluation and topology update.

        Returns:
            The metrics that the run is judged by.

        Raises:
            Diverged: the loss is not finite, or is above that of guessing although it was below.
        """
        self.begin()
        self._since = clock()
        self._watch = Watch(self._beside_before, told=self.processes.world == 1)
        batches = self.task.batches(self.step)
        while self.step < self.task.total_steps:
            with threads_for_kernels(self.sparsity.on_kernels):
                self._train_on(next(batches))
            if self.step % FINITE_CHECK_STEPS == 0:
                self._mean_loss()
            observer.stepped(self.step)
            if self.step % self.task.evaluate_interval == 0 or self.step == self.task.total_steps:
                record, selected = self._evaluate()
                observer.record(record)
                if selected and self.task.selection.keeps_model:
                    observer.select(lambda: portable_weights(self.sparsity))
            if self.sparsity.update_due and self._summed:
                self._mean_loss()  # raises Diverged, which an update would blame on its scores
            if update := self.sparsity.update_topology():
                observer.record({"kind": "update", **asdict(update)})
            observer.checkpoint(self.state_dict, last=self.step == self.task.total_steps)
        return self.judged

    def begin(self) -> None:
        """Prepare the model for training steps."""
        self.model.train()
        self._averaging = averaging(self.model, self.sparsity, self.processes)
        self._forward = _compiled(self._averaging.model) if self._compiled else self._averaging.model

    def _train_on(self, parts: Sequence[Part]) -> None:
        """One optimizer step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        for part in parts[:-1]:
            with self._averaging.postponed():
                self._backward(part)
        self._backward(parts[-1])
        self._averaging.average()
        self.precision.step(self.optimizer, self.sparsity.apply_gradients)
        for (
            parameter
        ) in self._trained:  # what zero_grad does, without its checks and records: 2 against 20 microseconds
            parameter.grad = None
        self.step += 1
        self._summed += 1

    def _backward(self, part: Part) -> None:
        with self.precision.autocast():
            loss = self.task.loss(self._forward, part)
        self.precision.backward(loss)
        self._loss_sum += loss.detach()

    def _evaluate(self) -> tuple[dict[str, object], bool]:
        """The record of an evaluation, and whether the network is the best so far.

        It comes before any topology update at this step: a network is judged as it was trained.
        """
        train_loss = self._mean_loss()
        self._check_progress(train_loss)
        self._loss_sum, self._summed = torch.zeros_like(self._loss_sum), 0
        self._share_buffers()
        self.model.eval()
        with self.precision.autocast(), threads_for_kernels(self.sparsity.on_kernels):
            metrics = self.task.evaluate(self.model)
        self.model.train()
        for name, value in metrics.items():
            if not abs(value) <= LARGEST:
                raise Diverged(
                    f"{name} is {value} at step {self.step}, though the training loss is not: lower the learning rate"
                )
        selected = self.judged.judge(self.task, metrics, self.step, self.sparsity.at_final_density)
        record = {
            "kind": "evaluation",
            "step": self.step,
            **self.task.passed(self.step),
            "train_loss": train_loss,
            **metrics,
            "density": self.sparsity.density,
            "anp": self.sparsity.anp(),
            "itop": self.sparsity.itop(),
            "links": self.sparsity.links,
            "learning_rate": self.learning_rate(self.step - 1),
            "seconds": self.elapsed(),
        }
        return record, selected

    def _share_buffers(self) -> None:
        """Give all processes the leader's buffers, so that they evaluate one network, the one that is saved.

        Batch norms see their process's share of a batch [choice: as torch does unless told otherwise], and what they remember
        differs between processes.
        """
        if self.processes.world > 1:
            for buffer in self.model.buffers():
                self.processes.broadcast(buffer)

    def test(self, weights: PortableWeights) -> Tested:
        """Test the selected network. The training cannot go on after this.

        Args:
            weights: its weights, as `Observer.select` was given them.

        Returns:
            Its scores.
        """
        self.sparsity.make_dense()
        self.model.load_state_dict(dense_weights(weights))
        self.model.eval()
        with self.precision.autocast():
            tested = self.task.final_scores(self.model)
        self.judged.selected = tested.metrics[self.task.metric]
        return tested

    def _mean_loss(self) -> float:
        mean = self.processes.mean(self._loss_sum.clone()).item() / self._summed
        if not math.isfinite(mean):
            raise Diverged(
                f"the training loss is {mean} by step {self.step}: the training diverged; lower the learning rate "
                "or look at the metrics before it"
            )
        return mean

    def _check_progress(self, train_loss: float) -> None:
        chance, before = self.task.chance_loss, self.judged.train_loss
        if before is not None and before < chance and train_loss > DIVERGED * chance:
            raise Diverged(
                f"the training loss rose from {before:.3f} to {train_loss:.3f} by step {self.step}, more than by guessing "
                f"({chance:.3f}): the training diverged; lower the learning rate"
            )
        self.judged.train_loss = train_loss

    def elapsed(self) -> float:
        """Return the seconds of training so far, over all starts, without those in which kernels were compiled."""
        now = clock()
        self.seconds, self._since = self.seconds + now - self._since, now
        return self.seconds

    @property
    def beside(self) -> Beside:
        """What went on beside the training so far, over all starts."""
        return self._watch.now() if self._watch else self._beside_before

    def state_dict(self) -> TrainingState | None:
        """Collect all that the rest of the training depends on. All processes must call this together.

        Returns:
            The state, in the leader; None in all other processes.
        """
        random = self.processes.all_gather(random_state())
        loss_sum = self.processes.mean(self._loss_sum.clone())
        if not self.processes.leads:
            return None
        return {
            "step": self.step,
            "seconds": self.elapsed(),
            "beside": asdict(self.beside),
            "judged": asdict(self.judged),
            "loss": {"sum": loss_sum, "summed": self._summed},
            **training_state(self.sparsity, copied=False),
            **self.precision.state_dict(),
            "random": random,
        }

    def load_state_dict(self, state: TrainingState) -> None:
        """Continue from where `state_dict` was called.

        Args:
            state: what it returned.

        Raises:
            UserError: it is the state of another training.
        """
        load_training_state(self.sparsity, state)
        self.precision.load_state_dict(state)
        random, processes = state["random"], self.processes
        if len(random) == processes.world:
            restore_random_state(random[processes.rank])
        else:  # saved by another number of processes: none of their states fits
            torch.manual_seed(derive_seed(self.sparsity.seed, "resumed", state["step"], processes.rank))
        self.step, self.seconds = state["step"], state["seconds"]
        self._beside_before = restored(Beside, state.get("beside", {}))  # which earlier code did not save
        self.judged = restored(Judged, state["judged"])
        self._loss_sum, self._summed = state["loss"]["sum"], state["loss"]["summed"]
