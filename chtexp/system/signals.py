"""Signals that ask a run to stop: it saves a checkpoint after the step at hand, says why, and ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = {
    signal.SIGHUP: ("preempted", "SIGHUP: its terminal went away"),
    signal.SIGINT: ("preempted", "Ctrl-C"),
    signal.SIGTERM: ("preempted", "SIGTERM: cancelled, or its place was wanted"),
    signal.SIGUSR1: ("timed-out", "SIGUSR1: the time limit is near"),
    signal.SIGUSR2: ("timed-out", "SIGUSR2: the time limit is near"),
}


PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """A signal asked this process to stop. No `Exception`: what goes on after a failure must not go on after this.

    Args:
        number: of the signal.
        reason: in words; None: what the signal usually means.
    """

    def __init__(self, number: int, reason: str | None = None) -> None:
        self.signal = signal.Signals(number)
        self.state, usual = SIGNALS[self.signal]
        self.reason = reason or usual
        super().__init__(number, reason)  # what a copy in another process is made of

    def __str__(self) -> str:
        return self.reason

    @property
    def code(self) -> int:
        """The exit code of a process that was asked to stop."""
        return 128 + self.signal


def listens(number: int) -> bool:
    """Whether a signal is not ignored (as nohup has SIGHUP ignored)."""
    return signal.getsignal(number) != signal.SIG_IGN


class StopSignals:
    """Remembers the first signal that asks to stop. `check` raises it when it can be obeyed without loss; a Ctrl-C after it is
    obeyed at once.
    """

    def __init__(self) -> None:
        self.asked: Stopped | None = None
        self._parent = os.getppid()

    @contextmanager
    def heard(self) -> Iterator[StopSignals]:
        """Inside, signals are remembered; in the main thread only, for Python lets no other listen."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._hear) for number in SIGNALS if listens(number)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @property
    def number(self) -> int:
        """The number of the signal that came; 0 for none."""
        return 0 if self.asked is None else self.asked.signal

    def check(self) -> None:
        """Stop if a signal came.

        Raises:
            Stopped: one came.
        """
        if self.asked is not None:
            raise self.asked

    def obey(self, number: int) -> NoReturn:
        """Stop for a signal that came here, or to a process that this one trains together with.

        Args:
            number: of the signal that came elsewhere.

        Raises:
            Stopped: always.
        """
        raise self.asked or Stopped(number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            if number == signal.SIGINT:
                raise self.asked
            return  # told twice, by a scheduler and by the process that leads
        orphaned = number == signal.SIGTERM and os.getppid() != self._parent  # which workers have the system tell them
        self.asked = Stopped(number, "SIGTERM: the process that led it was killed" if orphaned else None)


def stop_with_parent(parent: int) -> None:
    """Have the system send SIGTERM when the parent dies, where it can (Linux); exit if it is dead already.

    Args:
        parent: its process number, as the parent itself told it. One that asked the system would be told who has adopted it if
            its parent died while it was starting, and would live on alone.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
