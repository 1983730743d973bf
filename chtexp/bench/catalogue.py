"""The benchmarks by name, and how one is run: settings checked, threads set, machine and time noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from chtexp.bench.checkpoint import CheckpointSettings, measure_checkpoint
from chtexp.bench.epoch import EpochSettings, measure_epoch
from chtexp.bench.linkpred import LinkPredictionSettings, measure_link_prediction
from chtexp.bench.machine import machine, torch_threads
from chtexp.bench.memory import MemorySettings, measure_memory
from chtexp.bench.outcome import Findings, Outcome
from chtexp.bench.run import RunSettings, measure_run
from chtexp.bench.settings import Compose, Settings
from chtexp.bench.step import StepSettings, measure_step
from chtexp.bench.update import UpdateSettings, measure_update
from chtexp.errors import unknown
from chtexp.system.others import OtherWork

S = TypeVar("S", bound=Settings)


class Benchmark(NamedTuple):
    """A benchmark.

    Attributes:
        settings: what may be set.
        prepare: reads words KEY=VALUE; returns the settings, and what measures by them.
    """

    settings: type[Settings]
    prepare: Callable[[Sequence[str], Compose], tuple[Settings, Callable[[], Findings]]]


def _benchmark(settings: type[S], measure: Callable[[S], Findings]) -> Benchmark:
    def prepare(words: Sequence[str], compose: Compose) -> tuple[S, Callable[[], Findings]]:
        given = settings.read(words, compose)
        return given, partial(measure, given)

    return Benchmark(settings, prepare)


BENCHMARKS: dict[str, Benchmark] = {
    "step": _benchmark(StepSettings, measure_step),
    "linkpred": _benchmark(LinkPredictionSettings, measure_link_prediction),
    "update": _benchmark(UpdateSettings, measure_update),
    "memory": _benchmark(MemorySettings, measure_memory),
    "epoch": _benchmark(EpochSettings, measure_epoch),
    "checkpoint": _benchmark(CheckpointSettings, measure_checkpoint),
    "run": _benchmark(RunSettings, measure_run),
}


def run_benchmark(name: str, words: Sequence[str], compose: Compose) -> Outcome:
    """Run a benchmark on as many threads as its settings say.

    Args:
        name: one of BENCHMARKS.
        words: its settings, each KEY=VALUE.
        compose: makes a run of such words, for the benchmark that measures one.

    Raises:
        UserError: an unknown name, key or value.
    """
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    settings, measure = BENCHMARKS[name].prepare(words, compose)
    with torch_threads(settings.threads):
        found, others, start = machine(), OtherWork(), time.perf_counter()
        findings = measure()
        found["busy_with_others"] = others.share()
        return Outcome(
            name, settings.model_dump(mode="json", exclude={"paths"}), findings, found, time.perf_counter() - start
        )
