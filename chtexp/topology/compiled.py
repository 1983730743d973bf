"""How numba's kernels are made and called: cached as long as no source of any changes, with tensors, and on how many threads.

Numba keeps compiled code beside a function's file, and looks at that file alone to see whether it is still good: code
inlined from other files would stay as it was. So every kernel is made by the `njit` of this file.

Numba keeps a number of threads of its own, and starting its threads sets the number that torch reads, too. The two also
keep a pool of threads each, whose idle threads spin for a while after their work, on the very cores that the other pool
wants next. So while a training runs on compiled kernels, torch's own (then tiny) operations run on one thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import torch
from numba import prange
from numba.core import event
from numba.core.caching import FunctionCache
from torch import Tensor

__all__ = ["clock", "kernel_threads", "njit", "prange", "run", "threads_for_kernels"]

PACKAGE = Path(__file__).parents[1]
_config: Any = numba.config


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit(cache=True, **options)`, with a cache that follows all sources and many processes can fill at once."""

    def decorate(function: Callable[..., Any]) -> Any:
        before = _config.CACHE_DIR
        _config.CACHE_DIR = _CACHE  # read while a function is decorated; other people's functions keep their own
        try:
            kernel: Any = numba.njit(cache=True, **options)(function)
            kernel._cache = _SharedCache(function)
        finally:
            _config.CACHE_DIR = before
        return kernel

    return decorate


class _SharedCache(FunctionCache):
    """numba's, with a lock: two processes that save at once could leave an index that names the other's code."""

    def save_overload(self, signature: Any, data: Any) -> None:
        os.makedirs(self.cache_path, exist_ok=True)
        with open(os.path.join(self.cache_path, ".lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:
                return  # a file system without locks: compiled again by everyone
            super().save_overload(signature, data)


def _cache_folder() -> str:
    """Where compiled code is kept: the first of these that can be written, and in it a folder for these very sources."""
    sources = [path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))]
    kernels = [source for source in sources if b"njit" in source or b"llvmlite" in source]
    own = f"compiled-{hashlib.sha256(b''.join(kernels)).hexdigest()[:16]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chtexp"
    named = [Path(_config.CACHE_DIR)] if _config.CACHE_DIR else []
    for folder in (*named, PACKAGE / "__pycache__", user):
        try:
            (folder / own).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder / own).close()
        except OSError:
            continue
        return str(folder / own)
    return tempfile.mkdtemp(prefix="chtexp-")


_CACHE = _cache_folder()

_compiling = event.TimingListener()
event.register("numba:compile", _compiling)


def clock() -> float:
    """Seconds that go by in this process, but for those that numba compiles in: a machine's first run is no slower by it."""
    return time.perf_counter() - (_compiling.duration if _compiling.done else 0.0)


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
