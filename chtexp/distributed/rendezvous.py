"""Rendezvous of processes that train together: do they save, and do they stop?

A signal may reach any of the processes, and the leader's clock decides when a checkpoint is due. Both need all processes after
the same step. So they meet after a number of steps that takes about one second, as the leader measured since the last
rendezvous. A single process decides after every step.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from chtexp.distributed.group import Processes

SECONDS = 1.0  # between two rendezvous
MOST_STEPS = 1000  # between two rendezvous


class Wish(NamedTuple):
    """What a process wants to happen after a step.

    Attributes:
        save: whether a checkpoint is to be written.
        stop: the number of the signal that asks the training to stop; 0 if there is none.
    """

    save: bool = False
    stop: int = 0


class Rendezvous:
    """The rendezvous of the processes of one training.

    Args:
        processes: those that train together.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._steps_left = self._interval = 1
        self._since = time.monotonic()

    def agreed(self, wish: Wish, *, last: bool) -> Wish | None:
        """Agree with all processes on what to do now. Every process calls this after every step.

        Args:
            wish: what this process wants.
            last: whether this was the last step, after which the processes always meet.

        Returns:
            Whether the leader wants to save, and the signal that any process received; None after a step without a
            rendezvous.
        """
        if self._processes.world == 1:
            return wish
        self._steps_left -= 1
        if self._steps_left > 0 and not last:
            return None
        wants_to_save = wish.save and self._processes.leads
        interval = self._next_interval() if self._processes.leads else 0
        save, stop, self._interval = self._processes.all_max([wants_to_save, wish.stop, interval])
        self._steps_left, self._since = self._interval, time.monotonic()
        return Wish(bool(save), stop)

    def _next_interval(self) -> int:
        seconds_a_step = max(time.monotonic() - self._since, 1e-6) / self._interval
        return max(1, min(MOST_STEPS, round(SECONDS / seconds_a_step)))
