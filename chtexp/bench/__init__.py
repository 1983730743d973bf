"""Measurements, each of things compared inside one run: `chtexp bench step networks=mnist density=0.01`."""

from chtexp.bench.catalogue import BENCHMARKS, run_benchmark
from chtexp.bench.outcome import Outcome, check_output

__all__ = ["BENCHMARKS", "Outcome", "check_output", "run_benchmark"]
