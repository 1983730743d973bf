"""How much of the machine other processes took meanwhile: two threads that wait for each other stall on a busy core."""

from __future__ import annotations

import os
import time
from pathlib import Path

DISTURBED = 0.05  # share of the cores' time, above which a measurement had better be made again
IDLE = slice(3, 5)  # of the counts in /proc/stat: idle, waiting for a disk


class OtherWork:
    """Measures what other processes do, from when it is made on."""

    def __init__(self) -> None:
        self._start = _now()

    def share(self) -> float | None:
        """The share of the cores' time that other processes took.

        Returns:
            CPU seconds of other processes / (cores x seconds), in [0, 1]; None where the system does not tell.
        """
        (wall, busy, own), (wall_then, busy_then, own_then) = _now(), self._start
        if busy is None or busy_then is None:
            return None
        others = (busy - busy_then) - (own - own_then)
        return min(1.0, max(0.0, others / ((os.cpu_count() or 1) * (wall - wall_then))))


def _now() -> tuple[float, float | None, float]:
    """Seconds by the clock, of all cores at work since boot, and of this process."""
    return time.perf_counter(), _busy_seconds(), time.process_time()


def _busy_seconds() -> float | None:
    try:
        first, *_ = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    counts = [int(count) for count in first.split()[1:9]]  # without guests, which are counted as users
    return (sum(counts) - sum(counts[IDLE])) / os.sysconf("SC_CLK_TCK")
