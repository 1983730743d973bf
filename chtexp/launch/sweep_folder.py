"""The folder of one sweep: what it starts, frozen as it was asked for, and what its processes print.

<runs>/.sweeps/<time>-<process>/
    sweep.json       the launcher, and every run: its whole configuration, its folder, its command
    worker-0.log     what the runs of a worker printed         sweep.log     what a detached sweep prints
    slurm/           submitit's files and the jobs' own output
    plugins/         copies of the plug-ins that its runs use
    starts/          who carries it out, where that is no scheduler; as in a run's folder
    given            once all runs say that they are its own
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path

from chtexp.config.hardware import Hardware
from chtexp.config.plugins import frozen_plugins
from chtexp.config.run import Run, describe_run
from chtexp.errors import Unavailable
from chtexp.store import Damaged, Job, RunFolder, is_conducted
from chtexp.store.files import read_record, write_json
from chtexp.store.records import Sweep
from chtexp.store.starts import SignsOfLife, Start


@dataclass(frozen=True)
class SweepTask:
    """One run of a sweep, frozen.

    Attributes:
        label: for a person.
        folder: of the run.
        command: what to type for it alone.
        config: its whole description, as plain values.
        starts_before: of its folder, when the sweep began.
    """

    label: str
    folder: str
    command: str
    config: Mapping[str, object]
    starts_before: int

    @classmethod
    def of(cls, run: Run, command: str) -> SweepTask:
        """Freeze a run.

        Args:
            run: its description.
            command: what to type for it alone.
        """
        absolute = run.model_copy(update={"paths": run.paths.resolved()})
        label = f"{run.data.name} {run.method.name} seed {run.seed}"
        return cls(label, str(absolute.folder.path), command, absolute.config(), absolute.folder.starts)

    def run(self) -> Run:
        """The run to execute now. With overwrite=true, a former run is removed once a sweep, not once a start."""
        run = describe_run(self.config)
        cleared = run.folder.cleared_by > self.starts_before
        return run.model_copy(update={"overwrite": False}) if cleared else run

    def with_plugins_in(self, below: Path) -> SweepTask:
        """The same task with copies of its plug-ins, so that what is edited meanwhile does not change it.

        Args:
            below: the folder of copies.
        """
        if not self.config["plugins"]:
            return self
        plugins = describe_run(self.config).plugins
        copies = [one.model_dump(mode="json") for one in frozen_plugins(plugins, below)]
        return replace(self, config={**self.config, "plugins": copies})

    @property
    def hardware(self) -> Hardware:
        """What the run computes on."""
        return Hardware.model_validate(self.config["hardware"])

    @property
    def run_folder(self) -> RunFolder:
        """The folder of the run."""
        return RunFolder(Path(self.folder))


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep."""

    path: Path

    @classmethod
    def create(cls, runs: Path, settings: Mapping[str, object], tasks: Sequence[SweepTask]) -> SweepFolder:
        """Make a new folder for a sweep.

        Args:
            runs: the folder below which it is made.
            settings: of the sweep, as plain values.
            tasks: its runs.

        Raises:
            Unavailable: the folder cannot be made.
        """
        first = runs.resolve() / ".sweeps" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{os.getpid()}"
        names = (f"{first.name}-{again}" if again > 1 else first.name for again in count(1))
        path = next(path for name in names if _made(path := first.with_name(name)))
        frozen = [asdict(task.with_plugins_in(path / "plugins")) for task in tasks]
        write_json(path / "sweep.json", {**settings, "tasks": frozen})
        return cls(path)

    def read(self) -> tuple[dict[str, object], list[SweepTask]]:
        """Read the settings, as plain values, and the tasks.

        Raises:
            Damaged: the file is not what it should be.
            FileNotFoundError: there is no such sweep.
        """
        sweep = read_record(self.path / "sweep.json", Sweep)
        return sweep.settings, [
            SweepTask(one.label, one.folder, one.command, one.config, one.starts_before) for one in sweep.tasks
        ]

    @contextmanager
    def conducted(self, tasks: Sequence[SweepTask]) -> Iterator[None]:
        """While this process carries out the sweep, its runs are pending for everybody, until they begin."""
        start = Start.claim(self.path / "starts")
        with SignsOfLife(start):
            conducted = cache(is_conducted)
            for task in tasks:
                with suppress(OSError):  # a folder that cannot be written: the run itself will say so
                    job = _known_job(task.run_folder)
                    if job is None or job.name is not None or not conducted(job.sweep):  # else it is another sweep's
                        task.run_folder.submit(Job.given(None, task.starts_before, str(self.path), task.command))
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
        """The file of what the runs of a worker print."""
        return self.path / f"worker-{label}.log"


def _known_job(folder: RunFolder) -> Job | None:
    """What was last given the run; a damaged note of it gives way to a new one."""
    try:
        return folder.job()
    except Damaged:
        return None


def _made(path: Path) -> bool:
    """Whether the folder is new. There may be one where the clock went back, or two machines have equal process numbers."""
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if path.is_dir():
            return False
        raise Unavailable(f"{path} cannot be made ({error.strerror}); set paths.runs to a folder that can") from None
    return True
