"""A `DynamicSparsity` that takes the time of every stage of its topology updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import ParamSpec, TypeVar

from chtexp.sparse import DynamicSparsity, UpdateRecord, growth, update

P = ParamSpec("P")
R = TypeVar("R")
Clock = Callable[[], AbstractContextManager[None]]

STAGES = ("states", "prune", "remove", "percolate", "score", "select", "install", "other")


class TimedSparsity(DynamicSparsity):
    """Dynamic sparsity whose topology updates are timed.

    Attributes:
        stages: seconds of the last update, by STAGES. `states`: what the links carry is collected. `score` and `select`: the
            link prediction and the draw of regrowth. `install`: kept and grown links become the layers'. `other`: the rest.
    """

    stages: dict[str, float]

    def update_topology(self) -> UpdateRecord | None:
        """Update the topology if an update is due, and time its stages."""
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._began = time.perf_counter()
        clocks = {
            (self._rewiring, "_pruned"): self._pruning,
            (self._rewiring, "_removed"): lambda: self._during("remove"),
            (self._rewiring, "percolated"): lambda: self._during("percolate"),
            (self._rewiring, "_regrown"): self._regrowing,
            (self, "_install"): lambda: self._during("install"),
        }
        with ExitStack() as all_clocks:
            for (owner, name), clock in clocks.items():
                all_clocks.enter_context(_timed_calls(owner, name, clock))
            record = super().update_topology()
        self.stages["other"] = time.perf_counter() - self._began - sum(self.stages.values())
        return record

    @contextmanager
    def _during(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - start

    @contextmanager
    def _pruning(self) -> Iterator[None]:
        self.stages["states"] = time.perf_counter() - self._began  # all that an update does before it prunes
        with self._during("prune"):
            yield

    @contextmanager
    def _regrowing(self) -> Iterator[None]:
        with (
            _timed_calls(growth, "ch_scores", lambda: self._during("score")),
            _timed_calls(update, "sample_pairs", lambda: self._during("select")),
            _timed_calls(update, "uniform_pairs", lambda: self._during("select")),
        ):
            yield


@contextmanager
def _timed_calls(owner: object, name: str, clock: Clock) -> Iterator[None]:
    """Inside, the function of this name of a module or an object runs under the clock."""
    own = vars(owner).get(name)
    setattr(owner, name, _timed(getattr(owner, name), clock))
    try:
        yield
    finally:
        if own is None:  # a method, which stands in the class
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _timed(function: Callable[P, R], clock: Clock) -> Callable[P, R]:
    def timed(*arguments: P.args, **named: P.kwargs) -> R:
        with clock():
            return function(*arguments, **named)

    return timed
