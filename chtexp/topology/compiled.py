"""How numba's kernels are made and called: cached as long as no source of any changes, with tensors, and on how many threads.

Numba keeps compiled code beside a function's file, and looks at that file alone to see whether it is still good: code
inlined from other files would stay as it was. So every kernel is made by the `njit` of this file.

Numba keeps a number of threads of its own, and starting its threads sets the number that torch reads, too. The two also
keep a pool of threads each, whose idle threads spin for a while after their work, on the very cores that the other pool
wants next. So while a training runs on compiled kernels, torch's own (then tiny) operations run on one thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import torch
from numba import njit, prange
from torch import Tensor

__all__ = ["kernel_threads", "njit", "prange", "run", "threads_for_kernels"]

PACKAGE = Path(__file__).parents[1]


def _sources_digest() -> str:
    """Of all files with kernels."""
    sources = [path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))]
    return hashlib.sha256(b"".join(source for source in sources if b"numba" in source or b"njit" in source)).hexdigest()


_cache = Path(numba.config.CACHE_DIR or PACKAGE / "__pycache__")  # type: ignore[attr-defined]
numba.config.CACHE_DIR = str(_cache / f"compiled-{_sources_digest()[:16]}")  # type: ignore[attr-defined]

_lent: int | None = None  # the threads that torch had, while the kernels have them


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
    """On how many threads a compiled kernel runs now; numba is set to it."""
    torchs = torch.get_num_threads()
    threads = min(torchs if _lent is None else _lent, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(threads)
    torch.set_num_threads(torchs)  # which numba sets, too, when it starts its threads
    return threads


def run(kernel: Callable[..., Any], *arguments: Tensor | float) -> Any:
    """Call a compiled kernel; what it does in parallel runs on `kernel_threads`.

    Args:
        kernel: made by `numba.njit`, whether parallel or not.
        *arguments: numbers, and tensors on the CPU, of which the kernel gets the memory itself as numpy arrays.

    Returns:
        What the kernel returns.
    """
    arrays = [argument.detach().numpy() if isinstance(argument, Tensor) else argument for argument in arguments]
    if not kernel.targetoptions.get("parallel"):  # type: ignore[attr-defined]
        return kernel(*arrays)
    torchs = torch.get_num_threads()
    kernel_threads()
    try:
        return kernel(*arrays)
    finally:
        torch.set_num_threads(torchs)
