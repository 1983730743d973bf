"""The state of a run, read off its folder and, where one is in charge, off the scheduler. Nobody has to report anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chtexp.store.folder import RunFolder
from chtexp.store.starts import SIGN_SECONDS, Start

STATES = ("done", "running", "pending", "failed", "timed-out", "preempted", "stale", "missing")
OPEN = ("running", "pending")  # somebody is, or will be, at work on it

# What Slurm calls the ways in which a job waits, and ends without the run having said so
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED", "CONFIGURING", "RESIZING")
AT_WORK = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED")
ENDINGS = {"TIMEOUT": "timed-out", "DEADLINE": "timed-out", "PREEMPTED": "preempted", "CANCELLED": "preempted"}
GAVE_UP = "COMPLETED"  # a job that ended well and did not begin all of its runs
SILENT_SIGNS = 3
WITHOUT_A_WORD = "its process is gone without a word: killed (SIGKILL, out of memory), or the machine went down"

Queue = Mapping[str, str]  # the scheduler's state of each of its jobs


@dataclass(frozen=True)
class Condition:
    """state: one of STATES. reason: why, where it is not plain. step: how far it had come when it said so."""

    state: str
    reason: str = ""
    step: int | None = None


def condition(folder: RunFolder, queue: Queue | None = None) -> Condition:
    """What is known of a run.

    queue: what the scheduler says of the jobs it still knows, by name; None where there is no scheduler to ask.
    """
    if folder.result.exists():
        return Condition("done")
    start, job = folder.last_start(), folder.job()
    said = queue.get(job.name) if queue is not None and job is not None else None
    if job is not None and (start is None or start.number <= job.starts_before):  # submitted since, and not begun
        if queue is None:
            return Condition(
                "pending", f"job {job.name}, if it is still queued: its scheduler cannot be asked from here"
            )
        if said in (*WAITING, *AT_WORK):
            return Condition("pending", f"job {job.name} is {said}")
        if said not in (None, GAVE_UP):
            return Condition(ENDINGS.get(said, "failed"), f"job {job.name} ended before it began this run: {said}")
        job = None  # it has left the queue, and nobody knows how, or its sweep had too many failures
    if start is None:
        return Condition("missing")
    process = start.process
    if job is None or process is None or process.job != job.name:  # begun by somebody else
        queue, said = None, None
    if said in WAITING:
        return Condition("pending", f"job {job.name if job else ''} is {said}")  # queued again
    ending = start.ending
    if said in AT_WORK and ending is not None and ending["state"] in ("timed-out", "preempted"):
        return Condition("pending", f"job {job.name if job else ''} is {said}, and has not begun it again")
    # a queue may be another user's or cluster's: signs of life count more
    left = queue is not None and said not in AT_WORK and start.silence() > SILENT_SIGNS * SIGN_SECONDS
    if not left and not start.is_over():
        return Condition("running", str(process or "has just begun"))
    return _ended(start, said)


def _ended(start: Start, said: str | None) -> Condition:
    """How a start ended: by its own word, by the scheduler's, or by what is left of it."""
    if (ending := start.ending) is not None:
        if ending["state"] == "done":
            return Condition("missing", "its result was removed")
        return Condition(ending["state"], ending["reason"], ending.get("step"))
    if said is not None and said not in (*AT_WORK, "COMPLETED"):
        return Condition(ENDINGS.get(said, "failed"), f"the scheduler says {said}")
    if start.is_gone():
        return Condition("failed", WITHOUT_A_WORD)
    return Condition("stale", f"no sign of life for {start.silence():.0f} s from {start.process or 'a start cut off'}")
