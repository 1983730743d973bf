"""`bench epoch`: one whole epoch as an experiment trains it, split up, against the dense network's.

The sparse training runs its whole first epoch, evaluation and topology update included; the dense one only so many steps,
and its time is scaled to an epoch. Both take turns, a tenth of their steps at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Annotated

import torch
from pydantic import AfterValidator, Field

from chtexp.bench.measure import Spread, ratio
from chtexp.bench.networks import Network, check_network, load_network, load_recipe
from chtexp.bench.outcome import Column, Findings, Row
from chtexp.bench.progress import say
from chtexp.bench.settings import DataPath, Density, PositiveInt, Settings, Widths
from chtexp.build import builder_of
from chtexp.build.assembly import assemble
from chtexp.config.method import load_method, method_names
from chtexp.config.run import Run, describe_run
from chtexp.errors import UserError, unknown
from chtexp.sparse import Choice
from chtexp.tasks import Task
from chtexp.train.loop import Training

MILLISECONDS = 1000
TURNS = 10
WARM_UP_BATCHES = 20
CPU = torch.device("cpu")

COLUMNS = (
    Column("method", "method"),
    Column("executed", "execution"),
    Column("steps measured", "measured_steps"),
    Column("ms a step", "step_ms"),
    Column("dense / x", "ratio"),
    Column("training s", "training_seconds"),
    Column("evaluation s", "evaluation_seconds"),
    Column("update s", "update_seconds"),
    Column("epoch s", "epoch_seconds"),
    Column("dense epoch / x", "epoch_ratio"),
    Column("evaluation % of training", "evaluation_percent"),
    Column("update % of epoch", "update_percent"),
)


def _known_method(name: str) -> str:
    if name not in method_names():
        raise unknown("method", name, method_names())
    if name == "fc":
        raise UserError("is fc, the dense network that every method is compared with; choose a sparse one")
    return name


class EpochSettings(Settings):
    """What `bench epoch` measures.

    Attributes:
        data: the data set that is trained on, below paths.data.
        method: of the epoch.
        density: at the end of training, in (0, 1]; None: the method's own.
        hidden: widths of the hidden layers; None: the paper's.
        batch: images of one step.
        execution: of the sparse layers.
        steps: measured of the dense network.
        train_limit, test_limit: at most so many images; None: all.
        paths: of the data.
    """

    data: Annotated[str, AfterValidator(check_network)] = "mnist"
    method: Annotated[str, AfterValidator(_known_method)] = "chts_n"
    density: Density | None = None
    hidden: Widths = None
    batch: PositiveInt = 32
    execution: Choice = "auto"
    steps: Annotated[int, Field(ge=TURNS)] = 200
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None
    paths: DataPath = Field(default_factory=DataPath)


class _Enough(Exception):
    """A training has come as far as this turn goes."""


class Stopwatch:
    """Observes a training, and measures how long its steps, its evaluation and its update take.

    Args:
        until: the step to which it trains.

    Attributes:
        evaluation, update: seconds of each.
    """

    def __init__(self, until: int) -> None:
        self.until = until
        self.evaluation = self.update = 0.0
        self._since = self._start = time.perf_counter()

    def watch(self, training: Training) -> Stopwatch:
        """Train from where the training stands to `until`."""
        self._start = time.perf_counter()
        try:
            training.run(self)
        except _Enough:
            return self
        raise AssertionError("a turn is shorter than the training")

    @property
    def training(self) -> float:
        """Seconds from the start to the end of the last optimizer step."""
        return self._stepped - self._start

    def stepped(self, step: int) -> None:
        """Note when a step ended."""
        self._since, self._step = time.perf_counter(), step
        self._stepped = self._since

    def select(self, weights: object) -> None:
        """Keep nothing."""

    def record(self, record: Mapping[str, object]) -> None:
        """Take the time of an evaluation or of an update."""
        now = time.perf_counter()
        if record["kind"] == "evaluation":
            self.evaluation = now - self._since
        else:
            self.update = now - self._since
        self._since = now

    def checkpoint(self, state: Callable[[], object], *, last: bool) -> None:
        """End the turn at its last step; no checkpoint is written."""
        if self._step == self.until:
            raise _Enough


def measure_epoch(settings: EpochSettings) -> Findings:
    """Measure the epoch of the method and steps of the dense network, in turns.

    Raises:
        UserError: the epoch has too few steps to be split up.
    """
    network = load_network(settings.data, settings.hidden)
    _warm_up(network, settings)
    sparse_run, dense_run = (_run(network, method, settings) for method in (settings.method, "fc"))
    say(f"{network.name} {network.widths}: reading the data")
    task, origin = builder_of(sparse_run).task(settings.paths.data, CPU)
    sparse, dense = assemble(sparse_run, task, CPU), assemble(dense_run, task, CPU)
    steps = task.evaluate_interval
    if steps < 2:
        raise UserError(f"an epoch of {steps} step cannot be split up: lower batch, or raise train_limit")
    dense_steps = min(settings.steps, steps - 1)
    (step_seconds, last), (dense_seconds, _) = _take_turns((sparse, steps), (dense, dense_steps))
    epoch = _Epoch(
        settings.method,
        "+".join(sorted(set(sparse.sparsity.executed.values()))),
        step_seconds,
        measured_steps=steps,
        steps=steps,
        evaluation=last.evaluation,
        update=last.update,
    )
    dense_epoch = _Epoch(
        "fc",
        "plain",
        dense_seconds,
        measured_steps=dense_steps,
        steps=steps,
        evaluation=_evaluation(task, dense),
        update=0.0,
    )
    rows = [epoch.row(dense_epoch), dense_epoch.row(dense_epoch)]
    return Findings(rows, COLUMNS, _notes(network, origin.source, steps, dense_steps))


def _take_turns(*trainings: tuple[Training, int]) -> list[tuple[list[float], Stopwatch]]:
    """Train each to its step, all in turn; seconds a step by turn, and what was seen in the last turn, of each."""
    turns = min(TURNS, *(end for _, end in trainings))
    seconds: list[list[float]] = [[] for _ in trainings]
    watches = [Stopwatch(end) for _, end in trainings]
    for turn in range(turns):
        say(f"turn {turn + 1} of {turns}")
        for index, (training, end) in enumerate(trainings):
            first, until = end * turn // turns, end * (turn + 1) // turns
            watches[index] = Stopwatch(until).watch(training)
            seconds[index].append(watches[index].training / (until - first))
    return list(zip(seconds, watches, strict=True))


@dataclass(frozen=True)
class _Epoch:
    """One epoch of a method, in seconds.

    step_seconds: of a step, by turn. measured_steps: of the `steps` of the epoch. evaluation, update: seconds of each.
    """

    method: str
    execution: str
    step_seconds: Sequence[float]
    measured_steps: int
    steps: int
    evaluation: float
    update: float

    @property
    def training(self) -> float:
        """Seconds of all steps, scaled from those measured."""
        return mean(self.step_seconds) * self.steps

    @property
    def seconds(self) -> float:
        """Seconds of the whole epoch."""
        return self.training + self.evaluation + self.update

    def row(self, dense: _Epoch) -> Row:
        """A row of the table, beside the epoch of the dense network."""
        return {
            "method": self.method,
            "execution": self.execution,
            "measured_steps": self.measured_steps,
            "scaled": self.method == "fc",
            "step_ms": Spread.of(self.step_seconds, MILLISECONDS),
            "training_seconds": self.training,
            "evaluation_seconds": self.evaluation,
            "update_seconds": self.update,
            "epoch_seconds": self.seconds,
            "evaluation_percent": 100 * self.evaluation / self.training,
            "update_percent": 100 * self.update / self.seconds,
            "ratio": ratio(self.step_seconds, dense.step_seconds),
            "epoch_ratio": dense.seconds / self.seconds,
        }


def _warm_up(network: Network, settings: EpochSettings) -> None:
    """An epoch of few batches, thrown away: kernels compile at their first step, evaluation and update."""
    say(f"{network.name} {network.widths}: warming up")
    few = WARM_UP_BATCHES * settings.batch
    run = _run(network, settings.method, settings, train_limit=min(few, settings.train_limit or few))
    task, _ = builder_of(run).task(settings.paths.data, CPU)
    Stopwatch(task.evaluate_interval).watch(assemble(run, task, CPU))


def _run(network: Network, method: str, settings: EpochSettings, **budget: int) -> Run:
    """The paper's training of a method; only its folder is never made."""
    density = None if method == "fc" else settings.density
    described = load_method(method) if density is None else load_method(method, sparsity=1 - density)
    limits = {"train_limit": settings.train_limit, "test_limit": settings.test_limit, **budget}
    return describe_run(
        {
            "data": network.data.model_dump(),
            "model": {"hidden": network.hidden},
            "task": {**load_recipe().model_dump(), "batch_size": settings.batch},
            "method": described,
            "budget": {"name": "paper", "fraction": 1.0, **limits},
            "hardware": {"name": "cpu", "threads": settings.threads, "execution": settings.execution},
            "logger": {},
            "checkpoint": {},
            "paths": {"data": settings.paths.data, "runs": "runs"},
            "seed": settings.seed,
        }
    )


def _evaluation(task: Task, training: Training) -> float:
    """Seconds of one evaluation of the dense network, the second of two."""
    training.model.eval()
    task.evaluate(training.model)
    start = time.perf_counter()
    task.evaluate(training.model)
    return time.perf_counter() - start


def _notes(network: Network, source: str, steps: int, dense_steps: int) -> list[str]:
    return [
        f"{network.name} ({source}), {network.widths}, an epoch of {steps} steps as an experiment trains it.",
        f"fc: the dense network; measured on {dense_steps} steps between those of the method, its training scaled to {steps}.",
        "dense / x: how many times faster a step is than the dense network's, within turns. Evaluation: once an epoch, on the "
        "test images. Update: of the topology, at the end of the epoch.",
    ]
