"""`bench run`: where the time of a run goes, whatever its task: steps, batches, topology updates, evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Self

import torch
from pydantic import ConfigDict, Field, SkipValidation

from chtexp.bench.measure import Candidate, Measured, Spread, interleave
from chtexp.bench.outcome import Column, Findings
from chtexp.bench.progress import say
from chtexp.bench.settings import TimedSettings, read_settings
from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.work import prepared
from chtexp.processes import ALONE
from chtexp.sparse import threads_for_kernels
from chtexp.tasks import Task
from chtexp.train.loop import Training

MILLISECONDS = 1000
BATCHES = 4  # that steps take in turn: the sentences of one are longer than another's
COLUMNS = (
    Column("part", "part"),
    Column("ms", "ms"),
    Column("% of a step", "percent"),
    Column("steps long", "steps", lambda value: "–" if value is None else f"{value:.2f}"),
)


class RunSettings(TimedSettings):
    """Anything that describes a run (data=multi30k model=transformer_base ...), and how long it is measured.

    rounds, seconds: of steps and of batches. updates: topology updates that are measured, from the middle of training on.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    updates: Annotated[int, Field(ge=0)] = 3
    run: SkipValidation[Run] = Field(exclude=True)
    overrides: tuple[str, ...] = ()

    @classmethod
    def read(cls, words: Sequence[str], compose: Callable[[Sequence[str]], Run]) -> Self:
        """Words that are no settings of its own describe the run."""
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


class TimedRun(TimedSettings):
    """What RunSettings reads off the words themselves."""

    updates: Annotated[int, Field(ge=0)] = 3


def measure_run(settings: RunSettings) -> Findings:
    """Prepare the run as training would, then time its parts."""
    run = settings.run
    say(f"preparing {run.data.name} {run.method.name}")
    task, source, training = prepared(run, ALONE, lambda: None)
    training.begin()
    finish = torch.cuda.synchronize if training.device.type == "cuda" else lambda: None
    evaluation = _evaluation(training, task, finish)
    updates = _updates(training, task, settings.updates, finish)
    measured = _steps(training, task, settings, finish)
    step = measured.spread("step").median
    rows = [
        _row("forward, backward, optimizer", measured.spread("bare", MILLISECONDS), step),
        _row("the whole step", measured.spread("step", MILLISECONDS), step),
        _row("of which anything else", measured.excess("step", over="bare", factor=MILLISECONDS), step),
        _row("loading its batch", measured.spread("load", MILLISECONDS), step),
        *([_row("a topology update", Spread.of(updates, MILLISECONDS), step)] if updates else []),
        _row("an evaluation", Spread.of([evaluation], MILLISECONDS), step),
    ]
    executions = sorted(set(training.sparsity.executed.values())) or ["plain"]
    return Findings(
        rows,
        COLUMNS,
        [
            f"{' '.join(settings.overrides)}: {len(training.sparsity.layers)} sparse layers, "
            f"{training.sparsity.pairs:,} pairs, {training.sparsity.links:,} links, executed {'+'.join(executions)}. "
            f"Data: {source}.",
            f"Medians and quartiles; step and bare step on the same {BATCHES} batches in turn. {len(updates)} of "
            f"{settings.updates if training.sparsity.layers else 0} updates: those due from the middle of training on, of a "
            "network that was trained for a few steps; the first one, in which code is compiled, apart.",
        ],
    )


def _updates(training: Training, task: Task, wanted: int, finish: Callable[[], object]) -> list[float]:
    """Seconds of updates, at their due steps from the middle on; the steps between them are passed over."""
    sparsity, seconds = training.sparsity, []
    interval = task.update_interval
    due = [step for step in range(interval, task.total_steps, interval) if step >= task.total_steps // 2]
    if not sparsity.layers:
        return []
    batches = task.batches(0)
    for step in due[: wanted + 1]:
        say(f"update at step {step}")
        training.step = sparsity.steps = max(step - 2, sparsity.steps)
        while sparsity.steps < step:
            with threads_for_kernels(sparsity.on_kernels):
                training._train_on(next(batches))
        finish()
        start = time.perf_counter()
        if sparsity.update_topology() is None:
            break
        finish()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]  # compiled code and caches come with the first


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


def _endless(task: Task) -> Any:
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


def _row(part: str, ms: Spread, step_seconds: float) -> dict[str, Any]:
    steps = ms.median / MILLISECONDS / step_seconds
    return {"part": part, "ms": ms, "percent": 100 * steps, "steps": steps}
