"""How long runs will take on a core, told from runs that are done: a guess good enough to plan a weekend by."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from chtexp.config.run import Run
from chtexp.cost.count import cost
from chtexp.store import Result

LINKS_A_SECOND, MATRICES_A_SECOND = 1e10, 4e10  # FLOPs of one core [choice]: of links alone, and of whole matrices


class Pace:
    """FLOPs a second of runs that are done, counting links alone: of the same data and method, else of the same data.

    Else one core is taken to do what is stated above; a run of another method is taken to go the faster of the two ways.

    Args:
        done: results of runs.
    """

    def __init__(self, done: Iterable[Result]) -> None:
        found: dict[tuple[str, ...], list[float]] = {}
        for result in done:
            if result.seconds > 0 and result.flops:
                rate = result.flops.sparse / result.seconds
                for key in ((result.data, result.method), (result.data,)):
                    found.setdefault(key, []).append(rate)
        self._rates = {key: median(rates) for key, rates in found.items()}

    def hours(self, run: Run) -> float:
        """Estimate the hours of the whole of a run."""
        estimate = cost(run)
        if rate := self._rates.get((run.data.name, run.method.name)):
            return estimate.sparse_flops / rate / 3600
        rate = self._rates.get((run.data.name,), LINKS_A_SECOND)
        return min(estimate.sparse_flops / rate, estimate.dense_flops / MATRICES_A_SECOND) / 3600

    def of_all(self, runs: Iterable[Run]) -> float:
        """Estimate the hours of all runs, one after the other."""
        return sum(map(self.hours, runs))


def in_words(hours: float) -> str:
    """Write hours for a person: `40 s`, `12 min`, `3.4 h`."""
    seconds = 3600 * hours
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
