"""The benchmarks by name, and how one is run: settings checked, threads set, machine and time noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chtexp.bench.checkpoint import CheckpointSettings, measure_checkpoint
from chtexp.bench.epoch import EpochSettings, measure_epoch
from chtexp.bench.linkpred import LinkPredictionSettings, measure_link_prediction
from chtexp.bench.machine import machine, torch_threads
from chtexp.bench.memory import MemorySettings, measure_memory
from chtexp.bench.outcome import Findings, Outcome
from chtexp.bench.run import RunSettings, measure_run
from chtexp.bench.settings import Settings
from chtexp.bench.step import StepSettings, measure_step
from chtexp.bench.update import UpdateSettings, measure_update
from chtexp.errors import unknown
from chtexp.others import OtherWork


class Benchmark(NamedTuple):
    """settings: what may be set. measure: from settings to findings."""

    settings: type[Settings]
    measure: Callable[[Any], Findings]


BENCHMARKS = {
    "step": Benchmark(StepSettings, measure_step),
    "linkpred": Benchmark(LinkPredictionSettings, measure_link_prediction),
    "update": Benchmark(UpdateSettings, measure_update),
    "memory": Benchmark(MemorySettings, measure_memory),
    "epoch": Benchmark(EpochSettings, measure_epoch),
    "checkpoint": Benchmark(CheckpointSettings, measure_checkpoint),
    "run": Benchmark(RunSettings, measure_run),
}


def run_benchmark(name: str, words: Sequence[str], compose: Callable[[Sequence[str]], Any]) -> Outcome:
    """Run the benchmark `name` with settings KEY=VALUE; UserError for an unknown name, key or value.

    compose: what makes a run of such words, for the benchmark that measures one.
    """
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    benchmark = BENCHMARKS[name]
    settings = benchmark.settings.read(words, compose)
    with torch_threads(settings.threads):
        found, others, start = machine(), OtherWork(), time.perf_counter()
        findings = benchmark.measure(settings)
        found["busy_with_others"] = others.share()
        return Outcome(
            name, settings.model_dump(mode="json", exclude={"paths"}), findings, found, time.perf_counter() - start
        )
