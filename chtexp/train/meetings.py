"""When processes that train together ask each other whether to save and whether to stop.

A signal reaches one of them at some moment, a checkpoint is due by the leader's clock, and both need all of them after one and
the same step. So they meet: after a number of steps that takes about a second, as the leader measured at the meeting before.
One process alone asks itself after every step.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from chtexp.processes import Processes

SECONDS = 1.0  # between two meetings
MOST_STEPS = 1000


class Wish(NamedTuple):
    """save: a checkpoint. stop: the number of the signal that asks for it, 0 for none."""

    save: bool = False
    stop: int = 0


class Meetings:
    """Of the processes of one training; every process asks with its own wish after every step."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._steps_left = self._interval = 1
        self._since = time.monotonic()

    def agreed(self, wish: Wish, *, last: bool) -> Wish | None:
        """What all are to do now: what the leader wants saved, and the stop that any of them was asked for.

        None where they do not meet. They do after the `last` step.
        """
        if self._processes.world == 1:
            return wish
        self._steps_left -= 1
        if self._steps_left > 0 and not last:
            return None
        save = wish.save and self._processes.leads
        interval = self._next_interval() if self._processes.leads else 0
        found, stop, self._interval = self._processes.largest([save, wish.stop, interval])
        self._steps_left, self._since = self._interval, time.monotonic()
        return Wish(bool(found), stop)

    def _next_interval(self) -> int:
        seconds_a_step = max(time.monotonic() - self._since, 1e-6) / self._interval
        return max(1, min(MOST_STEPS, round(SECONDS / seconds_a_step)))
