"""One process at a time: a lock that is gone with the process that holds it, however that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file.

    The file is made, and stays: to remove it would let two processes hold locks of the same name.

    Args:
        path: the file.
        waiting: called where another process holds the lock, before waiting for it.

    Raises:
        OSError: the file cannot be written, or its file system has no locks.
    """
    lock = FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a process that is killed
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        waiting()
        held = lock.acquire()
    with held:
        yield


@contextmanager
def locked_if_possible(path: Path) -> Iterator[None]:
    """Hold the lock of a file; where the file system has no locks, or takes no more files, go on without it.

    Args:
        path: the file.
    """
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(locked(path))
        yield
