"""`bench run`: where the time of a run goes, whatever its task: its start, steps, batches, topology updates, evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Self

import torch
from pydantic import AfterValidator, ConfigDict, Field, SkipValidation

from chtexp.bench.measure import Candidate, Measured, Spread, interleave
from chtexp.bench.outcome import Column, Findings, Row, megabytes
from chtexp.bench.progress import say
from chtexp.bench.resident import peak_of
from chtexp.bench.settings import Compose, Names, TimedSettings, read_settings
from chtexp.bench.trainer import NEVER
from chtexp.config.run import Run
from chtexp.distributed.group import ALONE
from chtexp.errors import UserError, unknown
from chtexp.run.work import prepared
from chtexp.system.kernels_cache import threads_for_kernels
from chtexp.tasks import Task
from chtexp.train.loop import Training

MILLISECONDS = 1000
PARTS = ("start", "evaluation", "updates", "steps")
BATCHES = 4  # that steps take in turn: the sentences of one are longer than another's
COLUMNS = (
    Column("part", "part"),
    Column("ms", "ms"),
    Column("% of a step", "percent", lambda value: "–" if value is None else f"{value:.3g}"),
    Column("steps long", "steps", lambda value: "–" if value is None else f"{value:.2f}"),
    Column("MB", "bytes", megabytes),
)


def _parts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in PARTS:
            raise unknown("part of a run", name, PARTS)
    return names


class TimedRun(TimedSettings):
    """How a run is measured.

    Attributes:
        rounds, seconds: of steps and of batches.
        updates: topology updates that are measured, from the middle of training on.
        parts: what is measured. The start is data, network and first topology, up to the first step.
    """

    updates: Annotated[int, Field(ge=0)] = 3
    parts: Annotated[Names, AfterValidator(_parts)] = PARTS


class RunSettings(TimedRun):
    """What `bench run` measures.

    Attributes:
        run: any run (data=multi30k model=transformer_base ...).
        overrides: that describe it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    run: SkipValidation[Run] = Field(exclude=True)
    overrides: tuple[str, ...] = ()

    @classmethod
    def read(cls, words: Sequence[str], compose: Compose) -> Self:
        """Read settings; words that are no settings of this benchmark describe the run.

        Args:
            words: each KEY=VALUE.
            compose: makes the run.

        Raises:
            UserError: a wrong setting, or a run of several processes.
        """
        own = [
            word for word in words if word.partition("=")[0] in cls.model_fields.keys() - {"run", "overrides", "seed"}
        ]
        rest = [word for word in words if word not in own]
        settings = read_settings(TimedRun, own)
        run = compose(rest)
        if run.hardware.together:
            raise UserError("bench run measures one process: leave out hardware.processes and hardware.nodes")
        if settings.threads is not None:
            raise UserError("bench run takes the threads of the run: hardware.threads=N, not threads=N")
        found = {**settings.model_dump(), "seed": run.seed, "threads": run.hardware.threads}
        return cls(**found, run=run, overrides=tuple(rest))


def measure_run(settings: RunSettings) -> Findings:
    """Prepare the run as training would, then time its parts."""
    run, parts = settings.run, settings.parts
    say(f"preparing {run.data.name} {run.method.name}")
    began = time.perf_counter()
    task, origin, training = prepared(run, ALONE, lambda: None)
    finish = torch.cuda.synchronize if training.device.type == "cuda" else lambda: None
    finish()
    start = time.perf_counter() - began
    training.sparsity.total_steps = NEVER  # steps are timed on and on, beyond the run's end
    training.begin()
    evaluation = [_evaluation(training, task, finish)] if "evaluation" in parts else []
    updates, peaks = _updates(training, task, settings.updates, finish) if "updates" in parts else ([], [])
    measured = _steps(training, task, settings, finish) if "steps" in parts else None
    step = measured.spread("step").median if measured else None
    rows = [_row("a start", Spread.of([start], MILLISECONDS), step)] if "start" in parts else []
    if measured:
        rows += [
            _row("forward, backward, optimizer", measured.spread("bare", MILLISECONDS), step),
            _row("the whole step", measured.spread("step", MILLISECONDS), step),
            _row("of which anything else", measured.excess("step", over="bare", factor=MILLISECONDS), step),
            _row("loading its batch", measured.spread("load", MILLISECONDS), step),
        ]
    if updates:
        rows.append(
            {**_row("a topology update", Spread.of(updates, MILLISECONDS), step), "bytes": max(peaks, default=None)}
        )
    if evaluation:
        rows.append(_row("an evaluation", Spread.of(evaluation, MILLISECONDS), step))
    return Findings(rows, COLUMNS, _notes(settings, training, origin.source, len(updates)))


def _notes(settings: RunSettings, training: Training, source: str, updates: int) -> list[str]:
    sparsity, parts = training.sparsity, settings.parts
    executions = sorted(set(sparsity.executed.values())) or ["plain"]
    notes = [
        f"{' '.join(settings.overrides)}: {len(sparsity.layers)} sparse layers, {sparsity.pairs:,} pairs, "
        f"{sparsity.links:,} links, executed {'+'.join(executions)}. Data: {source}."
    ]
    if "steps" in parts:
        notes.append(f"Medians and quartiles; step and bare step on the same {BATCHES} batches in turn.")
    if "updates" in parts:
        notes.append(
            f"{updates} of {settings.updates if sparsity.layers else 0} updates: those due from the middle of training on, of "
            "a network that was trained for a few steps; the first one, in which code is compiled, apart. MB (10^6 bytes): the "
            "most that one of them held at once, beyond the training's own."
        )
    return notes


def _updates(
    training: Training, task: Task, wanted: int, finish: Callable[[], object]
) -> tuple[list[float], list[int]]:
    """Seconds and bytes of updates, at their due steps from the middle on; the steps between them are passed over."""
    sparsity = training.sparsity
    seconds: list[float] = []
    peaks: list[int] = []
    interval = task.update_interval
    due = [step for step in range(interval, task.total_steps, interval) if step >= task.total_steps // 2]
    if not sparsity.layers:
        return [], []
    batches = task.batches(0)
    for step in due[: wanted + 1]:
        say(f"update at step {step}")
        training.step = sparsity.steps = max(step - 2, sparsity.steps)
        while sparsity.steps < step:
            with threads_for_kernels(sparsity.on_kernels):
                training._train_on(next(batches))
        finish()
        start = time.perf_counter()
        update, peak = peak_of(sparsity.update_topology, training.device)
        if update is None:
            break
        finish()
        seconds.append(time.perf_counter() - start)
        peaks += [] if peak is None else [peak]
    return seconds[1:], peaks[1:]  # compiled code and caches come with the first


def _steps(training: Training, task: Task, settings: RunSettings, finish: Callable[[], object]) -> Measured:
    """Seconds of a whole step, of its bare forward, backward and optimizer, and of loading a batch."""
    say("steps")
    training.learning_rate = lambda step: (
        0.0
    )  # nothing moves: bare steps know of no mask, and others are to find theirs
    stream = task.batches(0)
    kept = [parts for _, parts in zip(range(BATCHES), stream, strict=False)]
    loading = _endless(task)

    def step() -> None:
        for parts in kept:
            with threads_for_kernels(training.sparsity.on_kernels):
                training._train_on(parts)

    def bare() -> None:
        for parts in kept:
            with threads_for_kernels(training.sparsity.on_kernels):
                for part in parts:
                    with training.precision.autocast():
                        loss = task.loss(training._forward, part)
                    training.precision.backward(loss)
                training.precision.step(training.optimizer, lambda step: step())
                training.optimizer.zero_grad(set_to_none=True)

    candidates = [
        Candidate("step", step, finish),
        Candidate("bare", bare, finish),
        Candidate("load", lambda: [next(loading) for _ in kept], finish),
    ]
    found = interleave(candidates, rounds=settings.rounds, seconds=settings.seconds)
    return Measured({name: [one / len(kept) for one in seconds] for name, seconds in found.seconds.items()})


def _endless(task: Task) -> Iterator[object]:
    while True:
        yield from task.batches(0)


def _evaluation(training: Training, task: Task, finish: Callable[[], object]) -> float:
    say("an evaluation")
    training.model.eval()
    start = time.perf_counter()
    with training.precision.autocast(), threads_for_kernels(training.sparsity.on_kernels):
        task.evaluate(training.model)
    finish()
    return time.perf_counter() - start


def _row(part: str, ms: Spread, step_seconds: float | None) -> Row:
    steps = ms.median / MILLISECONDS / step_seconds if step_seconds else None
    return {"part": part, "ms": ms, "percent": None if steps is None else 100 * steps, "steps": steps, "bytes": None}
