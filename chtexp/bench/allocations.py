"""What a piece of code allocates on the CPU: torch's tensors by its profiler, numpy's arrays by their makers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import numpy as np
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

P = ParamSpec("P")

MAKERS = ("empty", "empty_like", "zeros")  # of arrays, as the kernels' callers use them


def allocations(call: Callable[[], object]) -> list[int]:
    """Measure what one call allocates on the CPU.

    Args:
        call: what is measured.

    Returns:
        Bytes of every allocation by torch or numpy.
    """
    with (
        _silent_stderr(),
        _numpy_allocations() as of_numpy,
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        call()
    assert profiler.profiler is not None
    events = profiler.profiler.kineto_results.events()
    of_torch = [event.nbytes() for event in events if event.name() == "[memory]" and event.nbytes() > 0]
    return [*of_torch, *of_numpy]


@contextmanager
def _numpy_allocations() -> Iterator[list[int]]:
    """Inside, the bytes of arrays made by one of numpy's MAKERS are noted."""
    made: list[int] = []
    originals = {name: getattr(np, name) for name in MAKERS}

    def noting(maker: Callable[P, NDArray[np.generic]]) -> Callable[P, NDArray[np.generic]]:
        def make(*arguments: P.args, **named: P.kwargs) -> NDArray[np.generic]:
            array = maker(*arguments, **named)
            made.append(array.nbytes)
            return array

        return make

    for name, maker in originals.items():
        setattr(np, name, noting(maker))
    try:
        yield made
    finally:
        for name, maker in originals.items():
            setattr(np, name, maker)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Inside, nothing reaches stderr: the profiler writes to it from below Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
