"""One run's folder: what is written where, and how to read it back.

<runs>/<data>-<method>-<budget>-<id>/seed-<n>/
    config.yaml        the resolved config            environment.json   of every start: versions, commit, hardware, threads
    uncommitted.diff   the working tree, if dirty     command.txt        every command that worked on this run
    metrics.jsonl      one line an evaluation and one a topology update
    log.txt            what was printed               checkpoints/       the last two, each named by its checksum
    result.json        written last: the run is done  starts/            who worked on it and how that ended; see `starts`
    submitted.json     the sweep, and the scheduler's job, that was last given the run
    selected.pt        of Transformers: weights to keep (LLaMA: the last); vocabulary.json, translations.jsonl; or tokenizer.json
    zeroshot.json      scores on tasks that the model was not trained for; see `evaluations`
    cleared.json       the start that last began anew (overwrite=true)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chtexp.errors import UserError
from chtexp.store.evaluations import scores_in, with_scores
from chtexp.store.files import last_line, read_json_if_any, read_lines, write_json
from chtexp.store.starts import SignsOfLife, Start

KEPT_WHEN_CLEARED = ("starts", "submitted.json", "command.txt", "cleared.json")


@dataclass(frozen=True)
class Job:
    """What was given the run, after `starts_before` starts: a scheduler's job, or the process of a sweep (name: None).

    sweep: the folder of the sweep, with `starts/` of that process. command: what to type for the run alone.
    """

    name: str | None
    starts_before: int
    sweep: str
    command: str | None = None


def is_conducted(sweep: str) -> bool:
    """Whether the process of the sweep in this folder is still at work."""
    start = Start.last(Path(sweep) / "starts")
    return start is not None and not start.is_over()


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
        """All run folders below `runs` that were ever started or submitted, in the order of their names."""
        return cls._begun(runs.glob("*/seed-*"))

    @classmethod
    def of_every_seed(cls, path: Path) -> list[RunFolder]:
        """Those that lie in `path` itself, the folder that runs share which differ in their seeds alone."""
        return cls._begun(path.glob("seed-*"))

    @classmethod
    def _begun(cls, paths: Iterable[Path]) -> list[RunFolder]:
        folders = (cls(path) for path in sorted(paths, key=_by_name_and_seed))
        return [folder for folder in folders if any(os.path.exists(path) for path in folder._traces())]

    def _traces(self) -> Iterator[Path]:
        yield self.result  # what most have comes first, and nothing else is asked for
        yield self.config
        yield self.path / "starts"
        yield self.path / "submitted.json"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @cached_property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def selected(self) -> Path:
        """The weights of the best model, of a task that tests it once at the end."""
        return self.path / "selected.pt"

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

    def last_start(self) -> Start | None:
        return Start.last(self.path / "starts")

    def job(self) -> Job | None:
        """What was last given the run by a sweep."""
        job = read_json_if_any(self.path / "submitted.json")
        return None if job is None else Job(**job)

    @property
    def starts(self) -> int:
        """How often it was started."""
        start = self.last_start()
        return start.number if start else 0

    @property
    def cleared_by(self) -> int:
        """The start that last removed what was there; 0: none."""
        cleared = read_json_if_any(self.path / "cleared.json")
        return 0 if cleared is None else int(cleared["start"])

    def submit(self, job: Job) -> None:
        """Write down that a job, or a sweep's process, was given the run."""
        write_json(self.path / "submitted.json", asdict(job))

    def read_result(self) -> dict[str, Any] | None:
        """What `result.json` says, or None when the run is not done."""
        result: dict[str, Any] | None = read_json_if_any(self.result)
        return result

    def evaluated_result(self) -> Mapping[str, Any] | None:
        """`read_result`, with the scores of evaluations since; see `chtexp.store.evaluations`."""
        result = self.read_result()
        return None if result is None else with_scores(result, scores_in(self.path))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole line of `metrics.jsonl`."""
        return list(read_lines(self.metrics))

    def last_evaluation(self) -> dict[str, Any]:
        """The last evaluation in `metrics.jsonl`, or nothing."""
        return last_line(self.metrics, kind="evaluation") or {}

    def last_step(self) -> int | None:
        """The step of the last record in `metrics.jsonl`, an evaluation or a topology update; None without any."""
        record = last_line(self.metrics)
        return None if record is None else record.get("step")

    def last_command(self) -> str | None:
        """What to type to work on this run: as the last time, or as its sweep would have."""
        with suppress(FileNotFoundError, NotADirectoryError):
            if lines := self.commands.read_text().splitlines():
                return lines[-1]
        job = self.job()
        return job.command if job else None

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, the mark of a finished run."""
        write_json(self.result, result)

    def clear(self) -> None:
        """Remove all that former starts left, but the record of them and of this.

        First the mark of being done, then the checkpoints: cut off at any point, what is left is a run to start anew.
        """
        write_json(self.path / "cleared.json", {"start": self.starts})
        self.result.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for path in self.path.iterdir():
            if path.name not in KEPT_WHEN_CLEARED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def claimed(self) -> Iterator[SignsOfLife]:
        """Keep other processes off this run; raises RunLocked at once when one is at work.

        Whoever claims it says how it ended (`start.end`); a process that dies without a word is seen to be gone.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            start = Start.claim(self.path / "starts")
        except OSError as error:
            raise UserError(
                f"the run's folder {self.path} cannot be written ({error.strerror}); set paths.runs to a folder that can"
            ) from None
        with SignsOfLife(start) as signs:
            try:
                yield signs
            finally:
                if not start.end_path.exists():
                    with suppress(OSError):
                        start.end("failed", reason=_unsaid(sys.exc_info()[1]), step=None, traceback="")


def _by_name_and_seed(path: Path) -> tuple[str, int, str]:
    seed = path.name.removeprefix("seed-")
    return path.parent.name, int(seed) if seed.isdecimal() else -1, seed


def _unsaid(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error else "ended without saying how"


class MetricLines:
    """Appends records to a JSON-lines file; each line is whole once `write` returns."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Continue at `size` bytes: what a killed process wrote after its last checkpoint is cut off.

        Raises RuntimeError when the file is shorter than its checkpoint says.
        """
        self._file = path.open("ab")
        if self.size < size:
            self._file.close()
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
