"""One training, from its first or any later step to its end. Counts optimizer steps and knows no task by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from chtexp.processes import ALONE, Processes
from chtexp.randomness import derive_seed
from chtexp.sparse import (
    DynamicSparsity,
    clock,
    dense_weights,
    load_training_state,
    portable_weights,
    threads_for_kernels,
    training_state,
)
from chtexp.tasks import Task, Tested
from chtexp.train.averaging import averaging
from chtexp.train.beside import Beside, Watch
from chtexp.train.checkpoint import random_state, restore_random_state
from chtexp.train.precision import Precision

FINITE_CHECK_STEPS = 200  # a look at the loss waits for the device, so it is rare
DIVERGED = 1.1  # times the loss of guessing: a network that never learns stays closer to it


class Diverged(RuntimeError):
    """The loss is no longer a finite number, or that of a network that has forgotten all it knew."""


class Observer(Protocol):
    """Who wants to know how a training goes."""

    def record(self, record: Mapping[str, Any]) -> None:
        """One evaluation or one topology update."""

    def stepped(self, step: int) -> None:
        """One more optimizer step is done."""

    def select(self, weights: Callable[[], dict[str, Any]]) -> None:
        """The model to select, of all so far, of a task that keeps it: `weights()` are what to keep of it."""

    def checkpoint(self, state: Callable[[], dict[str, Any]], *, last: bool) -> None:
        """A moment at which `state()` may be saved; at the `last` one it must be."""


@dataclass
class Judged:
    """The metrics that a run will be judged by, in the task's own units.

    last: at the last evaluation. best: the best once the final density was reached (before, the network was not yet as
    sparse as claimed), with its step. selected: the metric where the validation metric was best, likewise, or at the last
    evaluation, where the task reports that; of a task that tests once, it comes when all is over. train_loss: the mean
    between the last two evaluations.
    """

    last: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    best_step: int | None = None
    selected: float | None = None
    selected_by: float | None = None
    selected_step: int | None = None
    train_loss: float | None = None

    def judge(self, task: Task, metrics: dict[str, float], step: int, at_final_density: bool) -> bool:
        """Take in one evaluation; whether it is the one to select, of those so far."""
        self.last = metrics
        if not at_final_density:
            return False
        value = metrics.get(task.metric)
        if value is not None and _better(value, self.best, task.higher_is_better):
            self.best, self.best_step = value, step
        if not task.validation_metric:
            return False
        by = metrics[task.validation_metric]
        selected = task.reports_last or _better(by, self.selected_by, task.validation_higher_is_better)
        if selected:
            self.selected, self.selected_by, self.selected_step = value, by, step
        return selected


def _better(value: float, than: float | None, higher: bool) -> bool:
    return than is None or (value > than if higher else value < than)


class Training:
    """A model, a task, an optimizer and the sparsity between them; `run` trains from where `step` stands to the end.

    learning_rate: a function of the step. precision: `float32`, or `bf16` or `fp16` for autocast with float32 weights.
    compiled: training passes go through torch.compile. processes: they train together; each runs this with its part of every
    batch.
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
        """Train to the end. Raises Diverged when the loss is not finite, or was below that of guessing and is above it now."""
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
                if selected and self.task.keeps_selected:
                    observer.select(lambda: portable_weights(self.sparsity))
            if self.sparsity.update_due and self._summed:
                self._mean_loss()  # an update of a diverged network would blame its scores
            if update := self.sparsity.update_topology():
                observer.record({"kind": "update", **asdict(update)})
            observer.checkpoint(self.state_dict, last=self.step == self.task.total_steps)
        return self.judged

    def begin(self) -> None:
        """Make ready for steps."""
        self.model.train()
        self._averaging = averaging(self.model, self.sparsity, self.processes)
        self._forward: Any = torch.compile(self._averaging.model) if self._compiled else self._averaging.model

    def _train_on(self, parts: Sequence[Any]) -> None:
        """One optimizer step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        for part in parts[:-1]:
            with self._averaging.postponed():
                self._backward(part)
        self._backward(parts[-1])
        self._averaging.average()
        self.precision.step(self.optimizer, self.sparsity.apply_gradients)
        for parameter in self._trained:  # what zero_grad does, without its looks and records: 2 against 20 microseconds
            parameter.grad = None
        self.step += 1
        self._summed += 1

    def _backward(self, part: Any) -> None:
        with self.precision.autocast():
            loss = self.task.loss(self._forward, part)
        self.precision.backward(loss)
        self._loss_sum += loss.detach()

    def _evaluate(self) -> tuple[dict[str, Any], bool]:
        """The record, and whether the network is the best so far.

        Before any topology update at this step: a network is judged as it was trained.
        """
        train_loss = self._mean_loss()
        self._check_progress(train_loss)
        self._loss_sum, self._summed = torch.zeros_like(self._loss_sum), 0
        self.model.eval()
        with self.precision.autocast(), threads_for_kernels(self.sparsity.on_kernels):
            metrics = self.task.evaluate(self.model)
        self.model.train()
        for name, value in metrics.items():
            if not math.isfinite(value):
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

    def test(self, weights: dict[str, Any]) -> Tested:
        """Test the network that has these weights (what `Observer.select` was given); the training is over then."""
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
        """Seconds of training so far, over all starts, without those in which kernels were compiled."""
        now = clock()
        self.seconds, self._since = self.seconds + now - self._since, now
        return self.seconds

    @property
    def beside(self) -> Beside:
        """What went on beside the training so far, over all starts."""
        return self._watch.now() if self._watch else self._beside_before

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on. The leader's; the others take part in it and return nothing."""
        random = self.processes.gathered(random_state())
        loss_sum = self.processes.mean(self._loss_sum.clone())
        if not self.processes.leads:
            return {}
        return {
            "step": self.step,
            "seconds": self.elapsed(),
            "beside": asdict(self.beside),
            "judged": asdict(self.judged),
            "loss": {"sum": loss_sum, "summed": self._summed},
            **training_state(self.sparsity),
            **self.precision.state_dict(),
            "random": random,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        load_training_state(self.sparsity, state)
        self.precision.load_state_dict(state)
        random, processes = state["random"], self.processes
        if len(random) == processes.world:
            restore_random_state(random[processes.rank])
        else:  # saved by another number of processes: none of their states fits
            torch.manual_seed(derive_seed(self.sparsity.seed, "resumed", state["step"], processes.rank))
        self.step, self.seconds = state["step"], state["seconds"]
        self._beside_before = Beside(**state.get("beside", {}))  # which earlier code did not save
        self.judged = Judged(**state["judged"])
        self._loss_sum, self._summed = state["loss"]["sum"], state["loss"]["summed"]
