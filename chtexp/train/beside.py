"""What went on beside a training: seconds measured beside other work, or with pauses, are not the training's own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from chtexp.others import DISTURBED, OtherWork

AT_WORK = 0.9  # of the clock's seconds, that a training on an idle CPU computes in at least


@dataclass(frozen=True)
class Beside:
    """Over all starts of a training.

    seconds: by the clock. own: CPU seconds of its process. others: seconds in which other processes had a core, averaged
    over cores; None where that cannot be told. niceness: the highest it ran at.
    """

    seconds: float = 0.0
    own: float = 0.0
    others: float | None = 0.0
    niceness: int = 0

    def summary(self, *, computes: bool) -> dict[str, Any]:
        """For `result.json`: shares of the clock's seconds, and whether they are to be marked.

        They are `disturbed` where other processes had more than `DISTURBED` of the cores (where that cannot be told: where
        the training ran at low priority), and where a process that `computes` all the time (alone, on the CPU) had less than
        `AT_WORK` of one core: it waited for it, or was stopped (SIGSTOP) and continued.
        """
        if not self.seconds:
            return {"others": None, "own": None, "niceness": self.niceness, "disturbed": False}
        others = None if self.others is None else self.others / self.seconds
        own = self.own / self.seconds
        crowded = self.niceness > 0 if others is None else others > DISTURBED
        return {
            "others": others,
            "own": own,
            "niceness": self.niceness,
            "disturbed": crowded or (computes and own < AT_WORK),
        }


class Watch:
    """One start, from when it is made on.

    before: what went on beside the starts before. told: whether the system's count of others can be used; not of
    processes that train together, which are others to each other.
    """

    def __init__(self, before: Beside, *, told: bool) -> None:
        self._before, self._others = before, OtherWork() if told else None
        self._began, self._own = time.perf_counter(), time.process_time()

    def now(self) -> Beside:
        """Of all starts so far."""
        seconds = time.perf_counter() - self._began
        share = self._others.share() if self._others and seconds else None
        return Beside(
            seconds=self._before.seconds + seconds,
            own=self._before.own + time.process_time() - self._own,
            others=None if share is None or self._before.others is None else self._before.others + share * seconds,
            niceness=max(self._before.niceness, os.getpriority(os.PRIO_PROCESS, 0)),
        )
