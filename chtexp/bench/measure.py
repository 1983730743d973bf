"""Interleaved measuring: candidates take turns in rounds, so that what slows the machine slows all of them alike.

    measured = interleave([Candidate("plain", plain.step), Candidate("csr", csr.step)], rounds=10, seconds=2)
    measured.spread("csr").median                # seconds a call
    measured.ratio("csr", baseline="plain")      # seconds of plain / seconds of csr, round by round

A ratio is taken within each round and summed up over rounds afterwards: two candidates of one round met the same machine.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of one number over rounds, in the number's own unit.

    Attributes:
        median: 50%.
        low: 25%.
        high: 75%.
        rounds: how many.
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float], factor: float = 1.0) -> Spread:
        """Summarise values.

        Args:
            values: at least one.
            factor: each is multiplied by it (1000: seconds to milliseconds).
        """
        low, median, high = (float(value) * factor for value in np.percentile(values, [25, 50, 75]))
        return cls(median, low, high, len(values))


@dataclass(frozen=True)
class Candidate:
    """Something to be timed.

    Attributes:
        name: in the table.
        call: what is timed.
        finish: waits until all that `call` started is done, where a device works by itself.
    """

    name: str
    call: Callable[[], object]
    finish: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Measured:
    """What `interleave` measured.

    Attributes:
        seconds: of one call, by candidate and round.
    """

    seconds: dict[str, list[float]]

    def spread(self, name: str, factor: float = 1.0) -> Spread:
        """The time of one call.

        Args:
            name: of the candidate.
            factor: of the seconds (1000: milliseconds).
        """
        return Spread.of(self.seconds[name], factor)

    def ratio(self, name: str, *, baseline: str) -> Spread:
        """Seconds of `baseline` / seconds of `name`, within rounds: above 1, `name` is the faster one."""
        return ratio(self.seconds[name], self.seconds[baseline])

    def excess(self, name: str, *, over: str, factor: float = 1.0) -> Spread:
        """Seconds of `name` - seconds of `over`, within rounds, times `factor`."""
        return Spread.of(
            [mine - other for mine, other in zip(self.seconds[name], self.seconds[over], strict=True)], factor
        )


def ratio(seconds: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Divide the seconds of a baseline by those of a candidate, round by round."""
    return Spread.of([base / mine for mine, base in zip(seconds, baseline, strict=True)])


def interleave(candidates: Sequence[Candidate], *, rounds: int, seconds: float) -> Measured:
    """Time every candidate in turn (A B C A B C ...), after a warm-up that does not count: kernels compile in it.

    Args:
        candidates: what is timed.
        rounds: turns of each candidate; fewer, but at least three, where that many calls of the slowest would take longer than
            `seconds`.
        seconds: about so long is each candidate timed; a turn makes as many calls as fit into its share.
    """
    seconds_a_call = {candidate.name: _warm_up(candidate, seconds) for candidate in candidates}
    rounds = max(LEAST_ROUNDS, min(rounds, int(seconds / max(seconds_a_call.values()))))
    calls = {name: max(1, int(seconds / rounds / one)) for name, one in seconds_a_call.items()}
    measured: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    with _no_garbage_collection():
        for _ in range(rounds):
            for candidate in candidates:
                measured[candidate.name].append(_turn(candidate, calls[candidate.name]))
    return Measured(measured)


def _warm_up(candidate: Candidate, seconds: float) -> float:
    """Seconds of the last, and so the warmest, of some calls: two where they are long, else three."""
    _timed(candidate, 1)
    last = _timed(candidate, 1)
    return max(last if last > seconds else _timed(candidate, 1), 1e-9)


def _turn(candidate: Candidate, calls: int) -> float:
    """Mean seconds of a call. Of several, one more comes before them: it meets what the candidate before left behind."""
    if calls > 1:
        candidate.call()
        candidate.finish()
    return _timed(candidate, calls)


def _timed(candidate: Candidate, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        candidate.call()
    candidate.finish()
    return (time.perf_counter() - start) / calls


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection would fall on whoever's turn it is."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
