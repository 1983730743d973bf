"""The state of a run, read from its folder and, where there is one, from the scheduler; nobody has to report anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chtexp.store.damage import Damaged
from chtexp.store.files import cannot_be_read
from chtexp.store.folder import RunFolder, is_conducted
from chtexp.store.results import Result
from chtexp.store.starts import SIGN_SECONDS, Start

DAMAGED = "damaged"  # what is in its folder cannot be read
STATES = ("done", "running", "pending", "failed", "timed-out", "preempted", "stale", "missing", DAMAGED)
OPEN = ("running", "pending")  # somebody is, or will be, at work on it

# What Slurm calls the ways in which a job waits, and ends without the run having said so
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED", "CONFIGURING", "RESIZING")
AT_WORK = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED")
ENDINGS = {"TIMEOUT": "timed-out", "DEADLINE": "timed-out", "PREEMPTED": "preempted", "CANCELLED": "preempted"}
GAVE_UP = "COMPLETED"  # a job that ended well and did not begin all of its runs
SILENT_SIGNS = 3
WITHOUT_A_WORD = "its process is gone without a word: killed (SIGKILL, out of memory), or the machine went down"


class Said(NamedTuple):
    """What the scheduler says of a job.

    Attributes:
        state: the job's state, in the scheduler's word.
        reason: why it waits, or why it ended, where the scheduler gives a reason.
    """

    state: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


Queue = Mapping[str, Said]  # of each job by its name


@dataclass(frozen=True)
class Condition:
    """The state of a run.

    Attributes:
        state: one of STATES.
        reason: why, where that is not plain.
        step: the last optimizer step that it reported when it ended.
        result: the result of a run that is done.
    """

    state: str
    reason: str = ""
    step: int | None = None
    result: Result | None = field(default=None, compare=False, repr=False)


def condition(
    folder: RunFolder, queue: Queue | None = None, conducted: Callable[[str], bool] = is_conducted
) -> Condition:
    """Find out the state of a run.

    Args:
        folder: the run's folder.
        queue: what the scheduler says of the jobs that it still knows, by name; None where no scheduler can be asked.
        conducted: tells whether the sweep in a folder is at work.

    Returns:
        The state; DAMAGED where the folder cannot be read.
    """
    try:
        if (result := folder.evaluated()) is not None:
            return Condition("done", result=result)
        return _unfinished(folder, queue, conducted)
    except Damaged as damage:
        return Condition(DAMAGED, str(damage))
    except OSError as error:  # of a look at a folder, and not into a file
        return Condition(DAMAGED, str(cannot_be_read(folder.path, error)))


def _unfinished(folder: RunFolder, queue: Queue | None, conducted: Callable[[str], bool]) -> Condition:
    start, job = folder.last_start(), folder.job()
    word = queue.get(job.name) if queue is not None and job is not None and job.name is not None else None
    said = word.state if word else None
    if job is not None and (start is None or start.number <= job.starts_before):  # given away since, and not begun
        if job.name is None:
            if conducted(job.sweep):
                return Condition("pending", f"its turn will come in {job.sweep}")
        elif queue is None:
            return Condition(
                "pending", f"job {job.name}, if it is still queued: its scheduler cannot be asked from here"
            )
        elif said in (*WAITING, *AT_WORK):
            return Condition("pending", f"job {job.name} is {word}")
        elif said is not None and said != GAVE_UP:
            return Condition(ENDINGS.get(said, "failed"), f"job {job.name} ended before it began this run: {word}")
        job = None  # it has left the queue, and nobody knows how; or its sweep had too many failures, or was ended
    if start is None:
        return Condition("missing")
    process = start.process
    if job is None or job.name is None or process is None or process.job != job.name:  # begun by somebody else
        queue, said = None, None
    if said in WAITING:
        return Condition("pending", f"job {job.name if job else ''} is {word}")  # queued again
    ending = start.ending
    if said in AT_WORK and ending is not None and ending.state in ("timed-out", "preempted"):
        return Condition("pending", f"job {job.name if job else ''} is {word}, and has not begun it again")
    # a queue may be another user's or cluster's: signs of life count more
    left = queue is not None and said not in AT_WORK and start.silence() > SILENT_SIGNS * SIGN_SECONDS
    if not left and not start.is_over():
        return Condition("running", str(process or "has just begun"))
    return _ended(start, said)


def _ended(start: Start, said: str | None) -> Condition:
    """How a start ended: by its own report, by the scheduler's, or by what is left of it."""
    if (ending := start.ending) is not None:
        if ending.state == "done":
            return Condition("missing", "its result was removed")
        return Condition(ending.state, ending.reason, ending.step)
    if said is not None and said not in (*AT_WORK, "COMPLETED"):
        return Condition(ENDINGS.get(said, "failed"), f"the scheduler says {said}")
    if start.is_gone():
        return Condition("failed", WITHOUT_A_WORD)
    return Condition("stale", f"no sign of life for {start.silence():.0f} s from {start.process or 'a start cut off'}")
