"""What Slurm says of jobs: in its queue, and of those that left it, in its memory and accounting."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from chtexp.store import Damaged, RunFolder, Said

PATIENCE_SECONDS = 30


def queue_of(folders: Iterable[RunFolder]) -> dict[str, Said] | None:
    """Ask Slurm for the state of the jobs that have runs.

    Args:
        folders: of the runs.

    Returns:
        The state by job name; None where there is no scheduler, or no such job.
    """
    jobs = {name for folder in folders if not folder.result.exists() and (name := _job_of(folder)) is not None}
    if not jobs or shutil.which("squeue") is None:
        return None
    in_queue = _run(["squeue", "--noheader", "--array", "--me", "--states=all", "--format=%i|%T|%r"])
    if in_queue is None:
        return None
    arrays = ",".join(sorted({name.partition("_")[0] for name in jobs}))
    accounted = _run(
        ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State", "--jobs", arrays]
    )  # nothing on a cluster that keeps no accounts
    states = _states(accounted or "") | _states(in_queue)
    return {name: states[name] for name in jobs if name in states}


def _job_of(folder: RunFolder) -> str | None:
    with suppress(Damaged):  # `condition` will say so
        job = folder.job()
        return job.name if job else None
    return None


def _states(text: str) -> dict[str, Said]:
    """Job, state and reason of each line `12_3|PENDING|Resources` (or `12_3|CANCELLED by 0`, or `12_3|RUNNING|None`)."""
    lines = re.finditer(r"^(\d+(?:_\d+)?)\|([A-Z_]+)[^|\n]*(?:\|(.*))?$", text, re.MULTILINE)
    return {line[1]: Said(line[2], "" if line[3] in (None, "None") else line[3]) for line in lines}


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
