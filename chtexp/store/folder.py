"""One run's folder: what is written where, and how to read it back.

<runs>/<data>-<method>-<budget>-<id>/seed-<n>/
    config.yaml        the resolved config            environment.json   of every start: versions, commit, hardware, threads
    uncommitted.diff   the working tree, if dirty     command.txt        every command that worked on this run
    metrics.jsonl      one line an evaluation and one a topology update
    log.txt            what was printed               checkpoints/       the last two, each named by its checksum
    result.json        written last: the run is done  starts/            who worked on it and how that ended; see `starts`
    plugins/           copies of the plug-ins that the run uses
    submitted.json     the sweep, and the scheduler's job, that was last given the run
    selected.pt        of Transformers: weights to keep (LLaMA: the last); vocabulary.json, translations.jsonl; or tokenizer.json
    zeroshot.json      scores on tasks that the model was not trained for; see `evaluations`
    cleared.json       the start that last began anew (overwrite=true)
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chtexp.errors import Unavailable
from chtexp.store.damage import Damaged
from chtexp.store.evaluations import evaluated_by
from chtexp.store.files import (
    as_read,
    cannot_be_read,
    last_line,
    read_lines,
    read_record_if_any,
    read_records_if_any,
    read_text,
    write_json,
)
from chtexp.store.identity import ID_LENGTH
from chtexp.store.records import Cleared, Environment, Job, Moment, Plain
from chtexp.store.results import Result
from chtexp.store.seal import file_checksum, sealed
from chtexp.store.starts import SignsOfLife, Start

OF_AN_ID, OF_A_SEED = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}"), re.compile(r"seed-(0|[1-9][0-9]*)")
KEPT_WHEN_CLEARED = ("starts", "submitted.json", "command.txt", "cleared.json")


def is_conducted(sweep: str) -> bool:
    """Whether the process of the sweep in this folder is still at work."""
    start = Start.last(Path(sweep) / "starts")
    return start is not None and not start.is_over()


def slug(name: str) -> str:
    """`name` in lower case, fit for a folder: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run: one id, one seed.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def of(cls, runs: Path, labels: tuple[str, ...], identity: str, seed: int) -> RunFolder:
        """The folder of a run.

        Args:
            runs: the folder of all runs.
            labels: words that make its name readable, and nothing else.
            identity: the identity of the run.
            seed: its seed.

        Returns:
            The folder, which need not exist.
        """
        return cls(runs / "-".join([*(slug(label) for label in labels), identity]) / f"seed-{seed}")

    @classmethod
    def every(cls, runs: Path) -> list[RunFolder]:
        """All run folders below `runs` that were ever started or submitted, ordered by name."""
        return cls._begun(runs.glob("*/seed-*"))

    @classmethod
    def of_every_seed(cls, path: Path) -> list[RunFolder]:
        """The run folders in `path`, the folder that is shared by runs which differ only in their seeds."""
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
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def plugins(self) -> Path:
        """The folder of copies of the run's plug-ins."""
        return self.path / "plugins"

    @property
    def metrics(self) -> Path:
        """One line for each evaluation and each topology update."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the last two checkpoints."""
        return self.path / "checkpoints"

    @cached_property
    def result(self) -> Path:
        """The result, written last: the run is done."""
        return self.path / "result.json"

    @property
    def selected(self) -> Path:
        """The weights of the best model, of a task that tests it once at the end."""
        return self.path / "selected.pt"

    @property
    def log(self) -> Path:
        """What was printed."""
        return self.path / "log.txt"

    @property
    def environment(self) -> Path:
        """Versions, commit, hardware and threads of every start."""
        return self.path / "environment.json"

    @property
    def diff(self) -> Path:
        """The uncommitted changes of the working tree."""
        return self.path / "uncommitted.diff"

    @property
    def commands(self) -> Path:
        """Every command that worked on this run."""
        return self.path / "command.txt"

    def last_start(self) -> Start | None:
        """The last start of the run, or None."""
        return Start.last(self.path / "starts")

    def job(self) -> Job | None:
        """The job, or the sweep's process, that was last given the run; None without one.

        Raises:
            Damaged: `submitted.json` cannot be read whole.
        """
        return read_record_if_any(self.path / "submitted.json", Job)

    @property
    def starts(self) -> int:
        """How often the run was started."""
        start = self.last_start()
        return start.number if start else 0

    @property
    def cleared_by(self) -> int:
        """The start that last removed what was there; 0 for none.

        Raises:
            Damaged: `cleared.json` cannot be read whole.
        """
        cleared = read_record_if_any(self.path / "cleared.json", Cleared)
        return 0 if cleared is None else cleared.start

    def submit(self, job: Job) -> None:
        """Record that a job, or a sweep's process, was given the run."""
        write_json(self.path / "submitted.json", job.plain)

    def finished(self) -> Result | None:
        """Read the result of the run, or None when it is not done.

        Raises:
            Damaged: the result cannot be read whole, or is another run's.
        """
        result = read_record_if_any(self.result, Result)
        if result is not None and self.is_of_a_run and self._name != (result.id, f"seed-{result.seed}"):
            raise Damaged(self.result, f"is the result of another run: {result.id} seed {result.seed}")
        return result

    def evaluated(self) -> Result | None:
        """Read the result with the scores of later evaluations (`chtexp.store.evaluations`), or None when the run is not done.

        Raises:
            Damaged: the result or the scores cannot be read whole, or are another run's.
        """
        result = self.finished()
        return None if result is None else evaluated_by(result, self.path)

    def read_result(self) -> dict[str, object] | None:
        """Read the result as plain values, or None when the run is not done.

        Raises:
            Damaged: the result cannot be read whole, or is another run's.
        """
        result = self.finished()
        return None if result is None else result.said

    def _remove(self) -> None:
        """Remove the folder at once, under its name, and that of all seeds with the last of them."""
        with suppress(OSError):
            doomed = self.path.rename(self.path.with_name(f".{self.path.name}.{os.getpid()}.removed"))
            shutil.rmtree(doomed, ignore_errors=True)
            self.path.parent.rmdir()

    @property
    def is_of_a_run(self) -> bool:
        """Whether the folder is named as a run's is; a copy may have any other name."""
        identity, seed = self._name
        return OF_AN_ID.fullmatch(identity) is not None and OF_A_SEED.fullmatch(seed) is not None

    @property
    def _name(self) -> tuple[str, str]:
        return self.path.parent.name.rpartition("-")[2], self.path.name

    def read_metrics(self) -> list[Plain]:
        """Read every whole line of `metrics.jsonl`.

        Raises:
            Damaged: a line is no whole record, or a finished run's file is not the one that it wrote.
        """
        moments = read_lines(self.metrics, Moment)
        self.check(self.metrics)
        return [moment.plain for moment in moments]

    def check(self, path: Path) -> None:
        """Check that a file of a finished run is what it was when the run was done; older results have no checksums.

        Raises:
            Damaged: it has changed, or cannot be read.
        """
        result = self.finished()
        wanted = result.environment.files.get(path.name) if result else None
        try:
            if wanted is not None and file_checksum(path) != wanted:
                raise Damaged(path, "is damaged: it is not what its checksum says")
        except OSError as error:
            raise cannot_be_read(path, error) from None

    def environments(self) -> list[Environment]:
        """Read the environment of every start.

        Raises:
            Damaged: `environment.json` cannot be read whole.
        """
        return read_records_if_any(self.environment, Environment)

    def last_evaluation(self) -> Plain:
        """Read the last evaluation in `metrics.jsonl`; empty where there is none.

        Raises:
            Damaged: a line is not a whole record.
        """
        moment = last_line(self.metrics, Moment, kind="evaluation")
        return moment.plain if moment else {}

    def last_step(self) -> int | None:
        """Read the step of the last record in `metrics.jsonl`, an evaluation or an update; None without any.

        Raises:
            Damaged: a line is not a whole record.
        """
        moment = last_line(self.metrics, Moment)
        return None if moment is None else moment.step

    def last_command(self) -> str | None:
        """Find the command that works on this run: the last one, or the one that its sweep would use; None without either.

        Raises:
            Damaged: `command.txt` or `submitted.json` cannot be read.
        """
        if lines := read_text(self.commands).splitlines():
            return lines[-1]
        job = self.job()
        return job.command if job else None

    def log_tail(self, lines: int) -> list[str]:
        """Read the last `lines` lines of the log.

        Raises:
            Damaged: the log cannot be read.
        """
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * lines))
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise cannot_be_read(self.log, error) from None

    def finish(self, result: Plain, beside: Iterable[str] = ()) -> Result:
        """Write `result.json`, the mark of a finished run, with checksums of the result and of the files that go with it.

        Args:
            result: what the run says, as plain values.
            beside: names of such files, in addition to metrics and weights.

        Returns:
            The result as it will be read.

        Raises:
            ValueError: a number is out of bounds.
        """
        paths = (self.metrics, self.selected, *(self.path / name for name in beside))
        files = {path.name: file_checksum(path) for path in paths if path.exists()}
        made = Result.of(as_read(sealed(result, files=files)))
        write_json(self.result, made.plain)
        return made

    def clear(self) -> None:
        """Remove everything that former starts left, except the record of these starts and of this removal.

        The mark of being done goes first, then the checkpoints: interrupted at any point, it leaves a run to start anew.
        """
        write_json(self.path / "cleared.json", {"start": self.starts})
        remove(self.result)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for path in self.path.iterdir():
            if path.name not in KEPT_WHEN_CLEARED:
                remove(path)

    @contextmanager
    def claimed(self) -> Iterator[SignsOfLife]:
        """Keep other processes off this run.

        Whoever claims it records how it ended (`start.end`); a process that dies without doing so is seen to be gone. A folder
        that was made for this start is removed at its end, if it was found to be of no use (`signs.of_no_use`).

        Yields:
            The signs of life of this start.

        Raises:
            RunLocked: another process is at work on the run.
            Unavailable: the folder cannot be written.
        """
        made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            start = Start.claim(self.path / "starts")
        except OSError as error:
            raise Unavailable(
                f"the run's folder {self.path} cannot be written ({error.strerror}); set paths.runs to a folder that can"
            ) from None
        with SignsOfLife(start) as signs:
            try:
                yield signs
            finally:
                if made and signs.of_no_use and start.is_last():
                    self._remove()
                elif not start.end_path.exists():
                    with suppress(OSError):
                        start.end("failed", reason=_unsaid(sys.exc_info()[1]), step=None, traceback="")


def remove(path: Path) -> None:
    """Remove whatever lies at `path`, a folder in a file's place as well."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _by_name_and_seed(path: Path) -> tuple[str, int, str]:
    seed = path.name.removeprefix("seed-")
    return path.parent.name, int(seed) if seed.isdecimal() else -1, seed


def _unsaid(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error else "ended without saying how"
