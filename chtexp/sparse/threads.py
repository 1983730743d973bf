"""Two pools of threads on the same cores: torch's own, and that of the compiled kernels.

A pool's idle threads spin for a while after their work, on the very cores that the other pool wants next. So while a
training runs on compiled kernels, torch's own (then tiny) operations run on one thread, and the kernels on all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch

_lent: int | None = None  # what torch had, while the kernels have it


@contextmanager
def threads_for_kernels(wanted: bool = True) -> Iterator[None]:
    """Inside, torch's operations run on one thread and compiled kernels on as many as torch had; not `wanted`: nothing."""
    global _lent
    if not wanted or _lent is not None:
        yield
        return
    _lent = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_lent)
        _lent = None


def kernel_threads() -> int:
    """Threads for a compiled kernel, now; numba is set to it."""
    threads = torch.get_num_threads() if _lent is None else _lent
    if threads > 1:
        threads = min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        numba.set_num_threads(threads)
    return threads
