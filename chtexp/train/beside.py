"""What went on beside a training: seconds that were measured beside other work, or with pauses, are not the training's own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TypedDict

from chtexp.system.others import DISTURBED, OtherWork

AT_WORK = 0.9  # the least share of wall-clock seconds in which a training on an idle CPU computes


class Summary(TypedDict):
    """What `result.json` says of the work beside a training.

    Attributes:
        others: the share of the cores that other processes had, in [0, 1]; None where it is unknown.
        own: CPU seconds of the training's process / wall-clock seconds; None where nothing was measured.
        niceness: the highest niceness that the training ran at.
        disturbed: whether its seconds are not to be trusted.
    """

    others: float | None
    own: float | None
    niceness: int
    disturbed: bool


@dataclass(frozen=True)
class Beside:
    """What was measured beside a training, over all its starts.

    Attributes:
        seconds: wall-clock seconds.
        own: CPU seconds of the training's process.
        others: CPU seconds of other processes / cores; None where it is unknown.
        niceness: the highest niceness that the training ran at.
    """

    seconds: float = 0.0
    own: float = 0.0
    others: float | None = 0.0
    niceness: int = 0

    def summary(self, *, computes: bool) -> Summary:
        """Summarise the measurements for `result.json`.

        A training was disturbed where other processes had more than `DISTURBED` of the cores (where this is unknown: where it
        ran at low priority). It was also disturbed where it should compute all the time and had less than `AT_WORK` of one
        core: it waited for a core, or was stopped (SIGSTOP) and continued.

        Args:
            computes: whether the process computes all the time: alone, and on the CPU.

        Returns:
            Shares of the wall-clock seconds, and whether the training was disturbed.
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
    """Measures what goes on beside one start of a training, from when this object is made.

    Args:
        before: what was measured in the starts before.
        told: whether other processes can be told from the training: not where several processes train together.
    """

    def __init__(self, before: Beside, *, told: bool) -> None:
        self._before, self._others = before, OtherWork() if told else None
        self._began, self._own = time.perf_counter(), time.process_time()

    def now(self) -> Beside:
        """Return what was measured in all starts so far."""
        seconds = time.perf_counter() - self._began
        share = self._others.share() if self._others and seconds else None
        return Beside(
            seconds=self._before.seconds + seconds,
            own=self._before.own + time.process_time() - self._own,
            others=None if share is None or self._before.others is None else self._before.others + share * seconds,
            niceness=max(self._before.niceness, os.getpriority(os.PRIO_PROCESS, 0)),
        )
