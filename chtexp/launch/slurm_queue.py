"""What Slurm says of jobs: in its queue, and of those that left it, in its memory and accounting."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from chtexp.store import RunFolder

PATIENCE_SECONDS = 30


def queue_of(folders: Iterable[RunFolder]) -> dict[str, str] | None:
    """The state of every job that has one of these runs, by name; None where there is no scheduler, or no such job."""
    jobs = {job.name for folder in folders if not folder.result.exists() and (job := folder.job()) is not None}
    if not jobs or shutil.which("squeue") is None:
        return None
    in_queue = _run(["squeue", "--noheader", "--array", "--me", "--states=all", "--format=%i|%T"])
    if in_queue is None:
        return None
    arrays = ",".join(sorted({name.partition("_")[0] for name in jobs}))
    accounted = _run(
        ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State", "--jobs", arrays]
    )  # nothing on a cluster that keeps no accounts
    states = _states(accounted or "") | _states(in_queue)
    return {name: states[name] for name in jobs if name in states}


def _states(text: str) -> dict[str, str]:
    """Job and state of each line `12_3|PENDING` (or `12_3|CANCELLED by 0`)."""
    return {match[1]: match[2] for match in re.finditer(r"^(\d+(?:_\d+)?)\|([A-Z_]+)", text, re.MULTILINE)}


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
