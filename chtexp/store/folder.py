"""One run's folder, and the state that can be read off it.

<runs>/<data>-<method>-<budget>-<id>/seed-<n>/
    config.yaml        the resolved config            environment.json   of every start: versions, commit, hardware, threads
    uncommitted.diff   the working tree, if dirty     command.txt        every command that worked on this run
    metrics.jsonl      one line an evaluation and one a topology update
    log.txt            what was printed               checkpoint.pt      the last one, whole
    result.json        written last: the run is done  error.json         reason and traceback of a failure
    lock               held by the process at work
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chtexp.errors import UserError
from chtexp.store.files import read_json, read_lines, write_json

STATES = ("done", "running", "failed", "unfinished", "missing")


class RunLocked(RuntimeError):
    """Another process is at work on the run."""


def slug(name: str) -> str:
    """`name` in lower case, fit for a folder: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run: one id, one seed."""

    path: Path

    @classmethod
    def of(cls, runs: Path, labels: tuple[str, ...], identity: str, seed: int) -> RunFolder:
        """The folder of a run; `labels` only make its name readable."""
        return cls(runs / "-".join([*(slug(label) for label in labels), identity]) / f"seed-{seed}")

    @classmethod
    def every(cls, runs: Path) -> list[RunFolder]:
        """All run folders below `runs` that were ever started, in the order of their names."""
        folders = (cls(path) for path in sorted(runs.glob("*/seed-*")))
        return [folder for folder in folders if folder.state() != "missing"]

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def error(self) -> Path:
        return self.path / "error.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def diff(self) -> Path:
        return self.path / "uncommitted.diff"

    @property
    def commands(self) -> Path:
        return self.path / "command.txt"

    def state(self) -> str:
        """One of STATES: what the files say, whoever asks."""
        if self.result.exists():
            return "done"
        if not self.path.exists():
            return "missing"
        if self._is_locked():
            return "running"
        if self.error.exists():
            return "failed"
        return "unfinished" if self.config.exists() else "missing"

    def read_result(self) -> dict[str, Any] | None:
        """What `result.json` says, or None when the run is not done."""
        return read_json(self.result) if self.result.exists() else None

    def read_error(self) -> dict[str, Any] | None:
        """What `error.json` says, or None when the run has not failed."""
        return read_json(self.error) if self.error.exists() else None

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole line of `metrics.jsonl`."""
        return list(read_lines(self.metrics))

    def last_evaluation(self) -> dict[str, Any]:
        """The last evaluation in `metrics.jsonl`, or nothing."""
        return next((line for line in reversed(self.read_metrics()) if line["kind"] == "evaluation"), {})

    def last_command(self) -> str | None:
        """What was typed to work on this run, the last time."""
        lines = self.commands.read_text().splitlines() if self.commands.exists() else []
        return lines[-1] if lines else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, the mark of a finished run."""
        self.error.unlink(missing_ok=True)
        write_json(self.result, result)

    def fail(self, reason: str, traceback: str, step: int) -> None:
        """Write `error.json`, unless the run is done all the same."""
        if self.result.exists():
            return
        write_json(self.error, {"reason": reason, "step": step, "traceback": traceback})

    def clear(self) -> None:
        """Remove all that a former start left, but the lock.

        First the mark of being done, then the checkpoint: cut off at any point, what is left is a run to start anew.
        """
        self.result.unlink(missing_ok=True)
        self.checkpoint.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes off this run; raises RunLocked at once when one is at work.

        The operating system holds the lock and drops it with the process, however that ends.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "lock").open("a+")
        except OSError as error:
            raise UserError(
                f"the run's folder {self.path} cannot be written ({error.strerror}); set paths.runs to a folder that can"
            ) from None
        with file:
            if not _flock(file, patience=1.0):
                file.seek(0)
                raise RunLocked(f"another process is at work on {self.path} ({file.read().strip()})")
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def _is_locked(self) -> bool:
        lock = self.path / "lock"
        if not lock.exists():
            return False
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def _flock(file: IO[str], patience: float) -> bool:
    """Take the lock within `patience` seconds: one who only looks whether it is held has it for an instant."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)


class MetricLines:
    """Appends records to a JSON-lines file; each line is whole once `write` returns."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Continue at `size` bytes: what a killed process wrote after its last checkpoint is cut off.

        Raises RuntimeError when the file is shorter than its checkpoint says.
        """
        self._file = path.open("ab")
        if self.size < size:
            raise RuntimeError(f"{path} has lost lines since its checkpoint; overwrite=true trains the run again")
        self._file.truncate(size)

    def write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> None:
        """See that what was written is on disk."""
        os.fsync(self._file.fileno())

    @property
    def size(self) -> int:
        """Bytes written so far, in all."""
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._file.close()
