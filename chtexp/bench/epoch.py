"""`bench epoch`: one whole epoch as an experiment trains it, split up, against the dense network's.

The sparse training runs its whole first epoch, evaluation and topology update included; the dense one only so many steps,
and its time is scaled to an epoch. Both take turns, a tenth of their steps at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import mean
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field

from chtexp.bench.measure import Spread, ratio
from chtexp.bench.networks import FAMILY, Network, check_network, load_network, load_recipe
from chtexp.bench.outcome import Column, Findings
from chtexp.bench.progress import say
from chtexp.bench.settings import DataPath, Density, PositiveInt, Settings, Widths
from chtexp.errors import UserError, unknown
from chtexp.experiments.assembly import assemble
from chtexp.experiments.description import Run, describe_run
from chtexp.sparse import Choice, load_method, method_names
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
    """data: trained on. method: of the epoch. density: at the end of training (None: the method's own).

    steps: of the dense network. train_limit, test_limit: at most so many images. Files lie below paths.data.
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
    """Observes a training up to `until`, a step: how long its steps, its evaluation and its update take, in seconds."""

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
        """From the start to the end of the last optimizer step."""
        return self._stepped - self._start

    def stepped(self, step: int) -> None:
        self._since, self._step = time.perf_counter(), step
        self._stepped = self._since

    def select(self, weights: object) -> None:
        """Nothing is kept."""

    def record(self, record: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        if record["kind"] == "evaluation":
            self.evaluation = now - self._since
        else:
            self.update = now - self._since
        self._since = now

    def checkpoint(self, state: Callable[[], dict[str, Any]], *, last: bool) -> None:
        if self._step == self.until:
            raise _Enough


def measure_epoch(settings: EpochSettings) -> Findings:
    """The sparse epoch and the dense steps in turns."""
    network = load_network(settings.data, settings.hidden)
    _warm_up(network, settings)
    sparse_run, dense_run = (_run(network, method, settings) for method in (settings.method, "fc"))
    say(f"{network.name} {network.widths}: reading the data")
    task, source = sparse_run.family.build_task(sparse_run, settings.paths.data, CPU)
    sparse, dense = assemble(sparse_run, task, CPU), assemble(dense_run, task, CPU)
    steps = task.evaluate_interval
    if steps < 2:
        raise UserError(f"an epoch of {steps} step cannot be split up: lower batch, or raise train_limit")
    dense_steps = min(settings.steps, steps - 1)
    (step_seconds, last), (dense_seconds, _) = _take_turns((sparse, steps), (dense, dense_steps))
    rows = [
        _row(
            settings.method,
            "+".join(sorted(set(sparse.sparsity.executed.values()))),
            step_seconds,
            measured_steps=steps,
            training=mean(step_seconds) * steps,
            evaluation=last.evaluation,
            update=last.update,
        ),
        _row(
            "fc",
            "plain",
            dense_seconds,
            measured_steps=dense_steps,
            training=mean(dense_seconds) * steps,
            evaluation=_evaluation(task, dense),
            update=0.0,
        ),
    ]
    for row, seconds in zip(rows, (step_seconds, dense_seconds), strict=True):
        row["ratio"] = ratio(seconds, dense_seconds)
        row["epoch_ratio"] = rows[-1]["epoch_seconds"] / row["epoch_seconds"]
    return Findings(rows, COLUMNS, _notes(network, source, steps, dense_steps))


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


def _row(
    method: str,
    execution: str,
    step_seconds: list[float],
    *,
    measured_steps: int,
    training: float,
    evaluation: float,
    update: float,
) -> dict[str, Any]:
    epoch = training + evaluation + update
    return {
        "method": method,
        "execution": execution,
        "measured_steps": measured_steps,
        "scaled": method == "fc",
        "step_ms": Spread.of(step_seconds, MILLISECONDS),
        "training_seconds": training,
        "evaluation_seconds": evaluation,
        "update_seconds": update,
        "epoch_seconds": epoch,
        "evaluation_percent": 100 * evaluation / training,
        "update_percent": 100 * update / epoch,
    }


def _warm_up(network: Network, settings: EpochSettings) -> None:
    """An epoch of few batches, thrown away: kernels compile at their first step, evaluation and update."""
    say(f"{network.name} {network.widths}: warming up")
    few = WARM_UP_BATCHES * settings.batch
    run = _run(network, settings.method, settings, train_limit=min(few, settings.train_limit or few))
    task, _ = run.family.build_task(run, settings.paths.data, CPU)
    Stopwatch(task.evaluate_interval).watch(assemble(run, task, CPU))


def _run(network: Network, method: str, settings: EpochSettings, **budget: int) -> Run:
    """The paper's training of a method; only its folder is never made."""
    overrides: dict[str, Any] = {} if settings.density is None or method == "fc" else {"sparsity": 1 - settings.density}
    limits = {"train_limit": settings.train_limit, "test_limit": settings.test_limit, **budget}
    return describe_run(
        {
            "data": network.data.model_dump(),
            "model": {"hidden": network.hidden},
            "task": {**load_recipe().model_dump(), "name": FAMILY, "batch_size": settings.batch},
            "method": load_method(method, **overrides),
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
