"""A campaign carried out: what is missing, one run after the other, until all is done or the time is up.

What is done stands in one file of collected results, which alone is needed to go on elsewhere; a run that was stopped goes on
from its checkpoint where its folder is at hand.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chtexp.config.launcher import Local
from chtexp.config.run import Run
from chtexp.launch.conduct import check_fit, places
from chtexp.launch.failures import Failures
from chtexp.launch.pace import Pace, in_words
from chtexp.launch.pool import Pool, Say
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.store import DAMAGED, OPEN, Condition, condition
from chtexp.store.collection import Collection, Key, add_to_collection, read_collection
from chtexp.system.signals import Stopped

LOWEST_PRIORITY = 19
TIME_IS_UP = signal.SIGUSR1  # as a scheduler says it
ENOUGH_SECONDS, ENOUGH_SHARE = 60.0, 0.1  # to begin a run in, or of a shorter campaign


@dataclass(frozen=True)
class Wanted:
    """A run of a campaign.

    Attributes:
        rank: of the part of the campaign that it belongs to, from 1.
        table, row, column: the cell that it stands in.
        run: its description.
        command: what to type for it alone.
    """

    rank: int
    table: str
    row: str
    column: str
    run: Run
    command: str

    @property
    def key(self) -> Key:
        """The identity and the seed, by which collected results know the run."""
        return self.run.id, self.run.seed

    def __str__(self) -> str:
        return f"rank {self.rank}, {self.table}, {self.row}, {self.column}, seed {self.run.seed}"


class Deadline:
    """The end of the time that a campaign has.

    Args:
        hours: from now; None: no end.
    """

    def __init__(self, hours: float | None) -> None:
        self._seconds = None if hours is None else 3600 * hours
        self._began = time.monotonic()

    def left(self) -> float | None:
        """The seconds that are left; None where there is no end."""
        return None if self._seconds is None else max(0.0, self._seconds - (time.monotonic() - self._began))

    def is_near(self) -> bool:
        """Whether too little time is left to begin a run."""
        left = self.left()
        return left is not None and left <= min(ENOUGH_SECONDS, ENOUGH_SHARE * (self._seconds or 0.0))


@dataclass
class Carrier:
    """Carries out a campaign.

    Attributes:
        wanted: its runs, the worthiest first.
        collected: the file of results.
        deadline: when it ends.
        say: told one line about every run.
        keep_first: told of results that two collections hold differently.
        failed: why runs failed, by run.
    """

    wanted: Sequence[Wanted]
    collected: Path
    deadline: Deadline
    say: Say
    keep_first: Callable[[str], object]
    failed: dict[Key, str] = field(default_factory=dict)

    def carry_out(self, workers: int = 1) -> None:
        """Carry out every run that is neither done nor being done elsewhere, once, in order.

        A run that fails is noted, and the next one begins. When the time is up, or a signal asks for it, the runs at work save
        themselves and stop.

        Args:
            workers: processes of one thread.

        Raises:
            Stopped: a signal asked to stop.
        """
        self.say(f"{self._count(self.done())}; results go to {self.collected}")
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)  # workers inherit it
        while items := self._open():  # once more: what was at work elsewhere may have been left meanwhile
            self._run(items, workers)
            if self._pool.asked == TIME_IS_UP:
                break
            if self._pool.asked is not None:
                raise Stopped(self._pool.asked)

    def _open(self) -> list[Wanted]:
        """What is to be carried out here, if there is time for it."""
        done = self.done()
        open_here = [item for item in self.wanted if item.key not in self.failed and self._is_open(item, done)]
        return [] if self.deadline.is_near() else open_here

    def _run(self, items: Sequence[Wanted], workers: int) -> None:
        waiting = [SweepTask.of(item.run, item.command) for item in items]
        self._items = {task.folder: item for task, item in zip(waiting, items, strict=True)}
        launcher = Local(workers=workers, threads=1)
        check_fit(launcher, waiting)
        folder = SweepFolder.create(items[0].run.paths.runs, {}, waiting)
        self._pool = Pool(
            places(launcher, waiting, folder),
            Failures(waiting, None),
            lambda line: None,
            is_open=self._may_begin,
            through=self._through,
        )
        with folder.conducted([]), _stopped_in(self.deadline.left(), self._pool):  # any of its runs may begin elsewhere
            self._pool.run(waiting)

    def done(self) -> Collection:
        """The results that are collected, also by other processes meanwhile."""
        return read_collection(self.collected) if self.collected.exists() else {}

    def left(self, done: Collection) -> list[Wanted]:
        """The runs that are not collected."""
        return [item for item in self.wanted if item.key not in done]

    # ------------------------------------------------------------------ parts

    def _may_begin(self, task: SweepTask) -> bool:
        """Whether a run is to be carried out now; says that it begins."""
        item = self._items[task.folder]
        if self.deadline.is_near() or not self._is_open(item, self.done()):
            return False
        step = condition(item.run.folder).step
        self.say(
            f"{item}: " + ("begins" if step is None else f"goes on from its checkpoint (last seen at step {step})")
        )
        return True

    def _count(self, done: Collection) -> str:
        """How many runs are done, and what is left of the work and of the time."""
        left = self.left(done)
        count = f"{len(self.wanted) - len(left)}/{len(self.wanted)} done"
        return f"{count}, {self._time_left(left, Pace(done.values()))}"

    def _is_open(self, item: Wanted, done: Collection) -> bool:
        """Whether a run is to be carried out here; one that is done, and not collected yet, is collected now."""
        if item.key in done:
            return False
        found = condition(item.run.folder)
        self._collect(found)
        if found.state == DAMAGED:
            self.failed[item.key] = found.reason
        return found.state not in (*OPEN, DAMAGED, "done")

    def _through(self, task: SweepTask, said: str) -> None:
        """A run is at an end, for now."""
        item = self._items[task.folder]
        found = condition(item.run.folder)
        self._collect(found)
        if self._pool.asked is None and found.state not in (*OPEN, "done"):
            self.failed[item.key] = found.reason or said
        step = "" if found.step is None else f" at step {found.step}"
        self.say(f"{item}: {said}{step}; {self._count(self.done())}")

    def _collect(self, found: Condition) -> None:
        if result := found.result:
            more: Collection = {result.key: result}
            add_to_collection(self.collected, {"this campaign": more}, self.keep_first)

    def _time_left(self, left: Sequence[Wanted], pace: Pace) -> str:
        hours = pace.of_all(item.run for item in left if item.key not in self.failed)
        seconds = self.deadline.left()
        return f"about {in_words(hours)} to go" + ("" if seconds is None else f", {in_words(seconds / 3600)} left")


@contextmanager
def _stopped_in(seconds: float | None, pool: Pool) -> Iterator[None]:
    """Inside, a pool's runs are asked to save themselves and stop after so many seconds (None: never)."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, pool.stop, (TIME_IS_UP,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
