"""Who works on a run: a numbered file for each start, of which only the last can be alive.

    starts/0001.json       who: host, process, the scheduler's job; the time of its last change is its sign of life
    starts/0001.end.json   how it ended, if it could say: state, reason, step, traceback

A start claims the next number by creating its file, which every file system, network ones included, lets exactly one process
do; and only once the last start is over. Nothing is removed or renamed, so no claim can be lost to a race. A start that was
taken for dead and is not (a frozen machine) sees the higher number at its next sign of life, and stops.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictStr

from chtexp.store.damage import Damaged
from chtexp.store.files import read_record_if_any, write_json
from chtexp.store.records import Count, Ending, Record

SIGN_SECONDS = 10.0  # between two signs of life
STALE_SECONDS = 180.0  # without one, seen from another machine: file attributes may be cached there for a minute
UNSEEN = "unseen"  # another person's process, on a machine that hides them
JOB_VARIABLES = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_RESTART_COUNT")


class RunLocked(RuntimeError):
    """Another process is at work on the run."""


class TakenOver(RuntimeError):
    """Another process took this one for dead, and works on its run."""


class Process(Record):
    """The process that makes a start (`starts/0001.json`).

    Attributes:
        host: the name of the machine.
        machine: host, boot and process namespace.
        pid: the process number.
        born: when the process began, in the machine's own ticks.
        job: the scheduler's job, if any.
        restarts: how often that job was requeued.
    """

    host: StrictStr
    machine: StrictStr
    pid: Annotated[int, Field(strict=True, ge=1, lt=2**31)]
    born: StrictStr
    job: StrictStr | None
    restarts: Count

    @classmethod
    def this(cls) -> Process:
        """This process."""
        job, restarts = _scheduler_job()
        return cls(
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            born=_born(os.getpid()),
            job=job,
            restarts=restarts,
        )

    def is_gone(self) -> bool | None:
        """Whether the process has ended; None where that cannot be seen from here."""
        if self.machine == _machine():
            born = _born(self.pid)
            return None if born == UNSEEN else born != self.born
        job, restarts = _scheduler_job()
        return True if job is not None and job == self.job and restarts > self.restarts else None

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


@dataclass(frozen=True)
class Start:
    """One start of a run.

    Attributes:
        folder: the folder of starts.
        number: from 1.
    """

    folder: Path
    number: int

    @classmethod
    def last(cls, folder: Path) -> Start | None:
        """The last start in `folder` (`starts/`), or None."""
        try:
            begun = [name.partition(".")[0] for name in os.listdir(folder) if name.endswith(".json")]
        except (FileNotFoundError, NotADirectoryError):
            return None
        numbers = [int(number) for number in begun if number.isdecimal()]  # an ending tells of a start, too
        return cls(folder, max(numbers)) if numbers else None

    @classmethod
    def claim(cls, folder: Path) -> Start:
        """Begin the next start in `folder`.

        Raises:
            RunLocked: another start is alive.
            OSError: its file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        last = cls.last(folder)
        if last is not None and not last.is_over():
            raise RunLocked(f"another process is at work on {folder.parent} ({last.process or 'just begun'})")
        start = cls(folder, last.number + 1 if last else 1)
        try:
            file = start.path.open("x")
        except FileExistsError:
            raise RunLocked(f"another process has just begun to work on {folder.parent}") from None
        try:
            with file:
                json.dump({**Process.this().plain, "began": _now()}, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk
            start.path.unlink(missing_ok=True)
            raise
        return start

    @property
    def path(self) -> Path:
        """The file that says who makes the start."""
        return self.folder / f"{self.number:04d}.json"

    @property
    def end_path(self) -> Path:
        """The file that says how it ended."""
        return self.folder / f"{self.number:04d}.end.json"

    @property
    def process(self) -> Process | None:
        """Who made it; None while its file is not whole (or for ever, if a full disk or a crash cut it off)."""
        try:
            return read_record_if_any(self.path, Process)
        except Damaged:
            return None

    @property
    def ending(self) -> Ending | None:
        """How it ended, by its own report; None without one.

        Raises:
            Damaged: the report cannot be read whole.
        """
        return read_record_if_any(self.end_path, Ending)

    def is_over(self) -> bool:
        """Whether it ended, was killed, or has given no sign of life for STALE_SECONDS."""
        if self.end_path.exists():
            return True
        process = self.process
        gone = process.is_gone() if process else None
        return self.silence() > STALE_SECONDS if gone is None else gone

    def is_of(self, pid: int) -> bool:
        """Whether the process `pid` of this machine made it."""
        process = self.process
        return process is not None and (process.machine, process.pid) == (_machine(), pid)

    def is_gone(self) -> bool:
        """Whether its process has certainly ended without a report."""
        process = self.process
        return not self.end_path.exists() and process is not None and process.is_gone() is True

    def silence(self) -> float:
        """Seconds since its last sign of life, by the clock of the file system; a jump of that clock counts as silence."""
        return abs(_clock_of(self.folder) - self.path.stat().st_mtime)

    def end(self, state: str, **details: object) -> None:
        """Record how it ended.

        Args:
            state: one of `chtexp.store.records.State`.
            details: further fields of `chtexp.store.records.Ending`.
        """
        write_json(self.end_path, {"state": state, "at": _now(), **details})

    def is_last(self) -> bool:
        """Whether no other start has taken over."""
        return not Start(self.folder, self.number + 1).path.exists()


@dataclass
class SignsOfLife:
    """A thread that shows that a start is alive, and notices when another took it over.

    Attributes:
        start: the start.
        taken_over: whether another start was seen.
        of_no_use: whether what the start made is worth nothing: a mistake in what was typed ended it before it trained.
    """

    start: Start
    taken_over: bool = False
    of_no_use: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> SignsOfLife:
        self._thread = threading.Thread(target=self._show, daemon=True, name="signs of life")
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        while not self._ended.wait(SIGN_SECONDS):
            try:
                os.utime(self.start.path)
                self.taken_over = not self.start.is_last()
            except OSError:
                pass  # a file system out of reach: the next sign may pass

    def check(self) -> None:
        """Check that this start may go on, before writing what others may write.

        Raises:
            TakenOver: another start has taken over.
        """
        if self.taken_over or not self.start.is_last():
            raise TakenOver(
                f"another process has taken over {self.start.folder.parent}, thinking that this one was dead"
            )


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _clock_of(folder: Path) -> float:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _scheduler_job() -> tuple[str | None, int]:
    """Slurm's name of this job (`12_3` in an array), and how often it was requeued."""
    array, task, job, restarts = (os.environ.get(name) for name in JOB_VARIABLES)
    return f"{array}_{task}" if array and task else job, int(restarts or 0)


def _machine() -> str:
    """This boot of this machine, and the namespace that process numbers belong to."""
    boot = _read("/proc/sys/kernel/random/boot_id") or "unknown-boot"
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = "pid"
    return f"{socket.gethostname()} {boot} {namespace}"


def _born(pid: int) -> str:
    """When the process began, in ticks of the machine; empty when there is none (a zombie counts as none)."""
    stat = _read(f"/proc/{pid}/stat")
    if stat:
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in ("Z", "X") else fields[19]
    try:
        os.kill(pid, 0)
    except PermissionError:
        return UNSEEN
    except OSError:
        return ""
    return "" if Path("/proc/self/stat").exists() else "alive"  # systems without /proc tell no more


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
