"""A `DynamicSparsity` that takes the time of every stage of its topology updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

from chtexp.sparse import DynamicSparsity, UpdateRecord, growth, update

STAGE_OF = {"_pruned": "prune", "_removed": "remove", "percolated": "percolate"}  # of methods of Rewiring
STAGES = ("states", "prune", "remove", "percolate", "score", "select", "install", "other")


class TimedSparsity(DynamicSparsity):
    """stages: seconds of the last update, by STAGES.

    states: what the links carry is collected. score and select: the link prediction and the draw of regrowth.
    install: kept and grown links become the layers'. other: the rest, mostly masks made of links.
    """

    stages: dict[str, float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._begin()
        super().__init__(*arguments, **named)
        for name, stage in STAGE_OF.items():
            setattr(self._rewiring, name, self._clocked(stage, getattr(self._rewiring, name)))
        self._rewiring._regrown = self._regrowing(self._rewiring._regrown)  # type: ignore[method-assign]

    def update_topology(self) -> UpdateRecord | None:
        self._begin()
        record = super().update_topology()
        total = time.perf_counter() - self._began
        self.stages["other"] = total - sum(self.stages.values())
        return record

    def _begin(self) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._began = time.perf_counter()

    @contextmanager
    def _during(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - start

    def _clocked(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*arguments: Any, **named: Any) -> Any:
            if stage == "prune":
                self.stages["states"] = time.perf_counter() - self._began  # all that an update does before it prunes
            with self._during(stage):
                return function(*arguments, **named)

        return clocked

    def _regrowing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def regrowing(*arguments: Any) -> Any:
            with (
                _timed_calls(growth, "ch_scores", lambda: self._during("score")),
                _timed_calls(update, "sample_links", lambda: self._during("select")),
                _timed_calls(update, "uniform_links", lambda: self._during("select")),
            ):
                return function(*arguments)

        return regrowing

    def _install(self, *arguments: Any) -> Any:
        with self._during("install"):
            return super()._install(*arguments)


@contextmanager
def _timed_calls(module: ModuleType, name: str, clock: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Inside, what `module` calls by this name runs under the clock."""
    function = getattr(module, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        with clock():
            return function(*arguments, **named)

    setattr(module, name, timed)
    try:
        yield
    finally:
        setattr(module, name, function)
