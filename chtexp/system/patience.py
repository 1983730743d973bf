"""What a person is told who waits: what is going on, once it has taken a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

SLOW_SECONDS = 1.0


@contextmanager
def said_if_slow(doing: str) -> Iterator[None]:
    """Tell the person at the terminal what is going on, once it has taken a second.

    Args:
        doing: what is going on, in words.
    """
    if not sys.stderr.isatty():
        yield
        return
    timer = Timer(SLOW_SECONDS, lambda: print(f"{doing} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
