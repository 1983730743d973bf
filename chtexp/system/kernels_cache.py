"""How numba's kernels are made and called: cached as long as no source of any changes, with tensors, and on how many threads.

Numba keeps compiled code beside a function's file, and looks at that file alone to see whether it is still good: code
inlined from other files would stay as it was. So every kernel is made by the `njit` of this file.

Numba keeps a number of threads of its own, and starting its threads sets the number that torch reads, too. The two also
keep a pool of threads each, whose idle threads spin for a while after their work, on the very cores that the other pool
wants next. So while a training runs on compiled kernels, torch's own (then tiny) operations run on one thread.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol, TypedDict, TypeVar, Unpack

import numba
import torch
from numba import prange
from numba.core import event
from numba.core.caching import FunctionCache, _Cache
from torch import Tensor

from chtexp.system.locks import locked

__all__ = ["clock", "compilation_announced", "kernel_threads", "njit", "prange", "run", "threads_for_kernels"]

PACKAGE = Path(__file__).parents[1]
_config = vars(numba.config)  # its settings are made as it is imported, and no type checker knows them
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Options(TypedDict, total=False):
    """What numba may do with a kernel: spread it over threads, and which rules of float arithmetic it may bend."""

    parallel: bool
    fastmath: bool | set[str]


class Kernel(Protocol[R_co]):
    """A compiled function."""

    @property
    def py_func(self) -> Callable[..., R_co]:
        """The function as it was written."""

    @property
    def targetoptions(self) -> Mapping[str, object]:
        """How it was compiled."""

    def __call__(self, *arguments: object) -> R_co:
        """Run the compiled code."""


def njit(**options: Unpack[Options]) -> Callable[[Callable[..., R]], Kernel[R]]:
    """Compile a kernel as `numba.njit` does, with a cache that follows all sources and that many processes can fill at once.

    Args:
        **options: of `numba.njit`.
    """

    def decorate(function: Callable[..., R]) -> Kernel[R]:
        kernel = numba.njit(**options)(function)
        kernel._cache = _SharedCache(function)  # type: ignore[attr-defined]  # numba's own business
        return kernel

    return decorate


class _SharedCache(_Cache):
    """numba's, made when a kernel is first called: an import looks for no folder and reads no source."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    @cached_property
    def _kept(self) -> FunctionCache:
        before, _config["CACHE_DIR"] = (
            _config["CACHE_DIR"],
            _cache_folder(),
        )  # other people's functions keep their own
        try:
            return FunctionCache(self._function)
        finally:
            _config["CACHE_DIR"] = before

    @property
    def cache_path(self) -> str:
        return str(self._kept.cache_path)

    def load_overload(self, sig: object, target_context: object) -> object:
        return self._kept.load_overload(sig, target_context)

    def save_overload(self, sig: object, data: object) -> None:
        """Save compiled code under a lock: two processes at once could leave an index that names the other's code."""
        os.makedirs(self.cache_path, exist_ok=True)
        try:
            with locked(Path(self.cache_path) / ".lock"):
                self._kept.save_overload(sig, data)
        except OSError:
            pass  # a file system without locks, or without room: compiled again by everyone

    def enable(self) -> None:
        self._kept.enable()

    def disable(self) -> None:
        self._kept.disable()

    def flush(self) -> None:
        self._kept.flush()


@cache
def _cache_folder() -> str:
    """Where compiled code is kept: the first of these that can be written, and in it a folder for these very sources."""
    sources = [path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))]
    kernels = [source for source in sources if b"njit" in source or b"llvmlite" in source]
    own = f"compiled-{hashlib.sha256(b''.join(kernels)).hexdigest()[:16]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chtexp"
    named = [Path(_config["CACHE_DIR"])] if _config["CACHE_DIR"] else []
    for folder in (*named, PACKAGE / "__pycache__", user):
        try:
            (folder / own).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder / own).close()
        except OSError:
            continue
        return str(folder / own)
    return tempfile.mkdtemp(prefix="chtexp-")


_compiling = event.TimingListener()
event.register("numba:compile", _compiling)


class _Announcer(event.Listener):
    """Says once that kernels are being compiled."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say: Callable[[str], object] | None = say

    def on_start(self, event: object) -> None:
        say, self._say = self._say, None
        if say is not None:
            say("compiling kernels, which are kept for later runs")

    def on_end(self, event: object) -> None:
        """Say nothing."""


@contextmanager
def compilation_announced(say: Callable[[str], object]) -> Iterator[None]:
    """Inside, say once that kernels are being compiled, when that begins; kernels from the cache say nothing.

    Args:
        say: receives the line.
    """
    with event.install_listener("numba:compile", _Announcer(say)):
        yield


def clock() -> float:
    """Read a clock that stands still while numba compiles: a machine's first run counts no slower for it.

    Returns:
        Seconds, from an arbitrary start.
    """
    return time.perf_counter() - (_compiling.duration if _compiling.done else 0.0)


_lent: int | None = None  # the threads that torch had, while the kernels have them


@contextmanager
def threads_for_kernels(wanted: bool = True) -> Iterator[None]:
    """Inside, torch's operations run on one thread, and compiled kernels on as many as torch had.

    Args:
        wanted: False: nothing changes.
    """
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
    """Give compiled kernels the threads that are theirs now, and return how many."""
    torchs = torch.get_num_threads()
    threads: int = min(torchs if _lent is None else _lent, _config["NUMBA_NUM_THREADS"])
    numba.set_num_threads(threads)
    torch.set_num_threads(torchs)  # which numba sets, too, when it starts its threads
    return threads


def run(kernel: Kernel[R], *arguments: Tensor | float) -> R:
    """Call a compiled kernel. What it does in parallel runs on `kernel_threads`.

    Args:
        kernel: made by `njit`, whether parallel or not.
        *arguments: numbers, and tensors on the CPU, of which the kernel gets the memory itself as numpy arrays.

    Returns:
        What the kernel returns.
    """
    arrays = [argument.detach().numpy() if isinstance(argument, Tensor) else argument for argument in arguments]
    if not kernel.targetoptions.get("parallel"):
        return kernel(*arrays)
    torchs = torch.get_num_threads()
    kernel_threads()
    try:
        return kernel(*arrays)
    finally:
        torch.set_num_threads(torchs)
