"""The folder of one sweep: what it starts, frozen as it was asked for, and what its processes print.

<runs>/.sweeps/<time>-<process>/
    sweep.json       the launcher, and every run: its whole configuration, its folder, its command
    worker-0.log     what the runs of a worker printed         sweep.log     what a detached sweep prints
    slurm/           submitit's files and the jobs' own output
    starts/          who carries it out, where that is no scheduler; as in a run's folder
    given            once all runs say that they are its own
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from chtexp.errors import UserError
from chtexp.experiments.description import Run, describe_run
from chtexp.store import Job, RunFolder, is_conducted
from chtexp.store.files import read_json, write_json
from chtexp.store.starts import SignsOfLife, Start


@dataclass(frozen=True)
class Task:
    """One run of a sweep, frozen.

    config: its whole description, as plain values. command: what to type for it alone. starts_before: of its folder, when
    the sweep began.
    """

    label: str
    folder: str
    command: str
    config: Mapping[str, Any]
    starts_before: int

    @classmethod
    def of(cls, run: Run, command: str) -> Task:
        absolute = run.model_copy(update={"paths": run.paths.resolved()})
        label = f"{run.data.name} {run.method.name} seed {run.seed}"
        return cls(label, str(absolute.folder.path), command, absolute.config(), absolute.folder.starts)

    def run(self) -> Run:
        """The run to execute now: with overwrite=true, what was there is removed once a sweep, not once a start."""
        run = describe_run(self.config)
        cleared = run.folder.cleared_by > self.starts_before
        return run.model_copy(update={"overwrite": False}) if cleared else run

    @property
    def run_folder(self) -> RunFolder:
        return RunFolder(Path(self.folder))


@dataclass(frozen=True)
class SweepFolder:
    """A sweep, and where it keeps its files."""

    path: Path

    @classmethod
    def create(cls, runs: Path, settings: Mapping[str, Any], tasks: Sequence[Task]) -> SweepFolder:
        """A new folder below `runs` for these tasks."""
        first = runs.resolve() / ".sweeps" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{os.getpid()}"
        names = (f"{first.name}-{again}" if again > 1 else first.name for again in count(1))
        path = next(path for name in names if _made(path := first.with_name(name)))
        write_json(path / "sweep.json", {**settings, "tasks": [asdict(task) for task in tasks]})
        return cls(path)

    def read(self) -> tuple[dict[str, Any], list[Task]]:
        """The settings, and the tasks."""
        values = read_json(self.path / "sweep.json")
        tasks = [Task(**task) for task in values.pop("tasks")]
        return values, tasks

    @contextmanager
    def conducted(self, tasks: Sequence[Task]) -> Iterator[None]:
        """While this process carries out the sweep, its runs are pending for everybody, until they begin."""
        start = Start.claim(self.path / "starts")
        with SignsOfLife(start):
            conducted = cache(is_conducted)
            for task in tasks:
                with suppress(OSError):  # a folder that cannot be written: the run itself will say so
                    job = task.run_folder.job()
                    if job is None or job.name is not None or not conducted(job.sweep):  # else it is another sweep's
                        task.run_folder.submit(Job(None, task.starts_before, str(self.path), task.command))
            self._given.touch()
            try:
                yield
            finally:
                with suppress(OSError):
                    start.end("done")

    def is_begun(self) -> bool:
        """Whether a process carries it out, and everybody can see that its runs are pending."""
        return self._given.exists()

    @property
    def _given(self) -> Path:
        return self.path / "given"

    def worker_log(self, label: str) -> Path:
        return self.path / f"worker-{label}.log"


def _made(path: Path) -> bool:
    """Whether the folder is new. There may be one where the clock went back, or two machines have equal process numbers."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if path.is_dir():
            return False
        raise UserError(f"{path} cannot be made ({error.strerror}); set paths.runs to a folder that can") from None
    return True
