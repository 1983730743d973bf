"""One start of a run: its training, and what becomes of what the training says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, BinaryIO

import torch
import yaml

from chtexp.experiments.assembly import assemble, device_of
from chtexp.experiments.description import Checkpointing, Run
from chtexp.experiments.environment import environment, provenance
from chtexp.experiments.mirror import Mirror, mirror_of
from chtexp.experiments.result import summary
from chtexp.experiments.run_log import RunLog
from chtexp.processes import ALONE, Processes
from chtexp.randomness import derive_seed
from chtexp.stopping import StopSignals
from chtexp.store import RunFolder
from chtexp.store.files import read_json_if_any, write_atomically, write_json
from chtexp.store.folder import MetricLines
from chtexp.store.starts import SignsOfLife
from chtexp.tasks import Task, Tested
from chtexp.train.checkpoint import Checkpoints, Unusable
from chtexp.train.loop import Training
from chtexp.train.meetings import Meetings, Wish
from chtexp.train.progress import ProgressLine


class Work:
    """Trains a run, and observes its training: the whole of it, or as the leader of processes that train together."""

    def __init__(
        self,
        run: Run,
        command: str,
        signals: StopSignals,
        signs: SignsOfLife,
        log: RunLog,
        processes: Processes = ALONE,
    ) -> None:
        self.run, self.folder, self.command, self.log = run, run.folder, command, log
        self._signals, self._signs = signals, signs
        self._processes, self._meetings = processes, Meetings(processes)
        self._checkpoints = Checkpoints(self.folder.checkpoints, log.say)
        self.step: int | None = None  # not known before it has been prepared
        self._saved_at = _Due(run.checkpoint)
        self._lines: MetricLines | None = None
        self._progress: ProgressLine | None = None
        self._mirror: Mirror | None = None
        self._result: dict[str, Any] | None = None

    def train(self) -> dict[str, Any]:
        """From the first step, or where the last checkpoint was taken, to the result."""
        run, folder = self.run, self.folder
        with folder.commands.open("a") as file:
            file.write(self.command + "\n")
        task, source, training = prepared(run, self._processes, self._check_signals)
        if run.overwrite:
            folder.clear()  # only now: what cannot start must not cost what is there
        self._write_circumstances()
        state = self._checkpoints.load(training.device, self._check_metrics)
        self._processes.told(state is not None and state["name"])
        if state is not None:
            training.load_state_dict(state["training"])
            self._lines = MetricLines(folder.metrics, state["metrics_size"])
            self.log.say(f"resuming {folder.path} at step {training.step} of {task.total_steps}")
            del state
        else:
            if folder.metrics.exists():
                self.log.say(
                    "started before, but stopped before its first checkpoint (checkpoint.seconds): from the start"
                )
            self._lines = MetricLines(folder.metrics)
            self.log.say(f"training {folder.path}, {task.total_steps} steps")
        self.step = training.step
        self._mirror = mirror_of(run, self.log.say)
        self._progress = ProgressLine(
            f"{run.data.name} {run.method.name} seed {run.seed}",
            task.total_steps,
            self.step,
            (task.validation_metric or task.metric) if task.tests_once else task.metric,
            self.log.say,
            quiet=run.logger.quiet,
        )
        self._progress.show(folder.last_evaluation())
        judged = training.run(self)
        end, executed = training.state_dict(), training.sparsity.executed
        tested = tested_once(training, folder, self._processes)
        for name, text in {**task.keepsakes(), **(tested.files if tested else {})}.items():
            write_atomically(folder.path / name, partial(_write_text, text))
        self._result = summary(run, training, end, task, judged, tested, executed, source, self.command)
        self._signs.check()
        folder.finish(self._result)
        self._result = folder.read_result()
        assert self._result is not None
        said = {"last": self._result["last"], "best": self._result["best"], "reported": self._result["reported"]}
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in said.items() if value is not None)
        self.log.conclude(f"done: {task.metric} {numbers}; {folder.result}")
        return self._result

    def close(self) -> None:
        """Close all files; whatever happened."""
        self._checkpoints.finish()
        if self._progress:
            self._progress.close()
        if self._lines:
            self._lines.close()
        if self._mirror:
            self._mirror.finish(self._result)

    # ------------------------------------------------------------------ the observer of a training

    def record(self, record: Mapping[str, Any]) -> None:
        """Into the metrics, the mirror, and before a person's eyes."""
        assert self._lines is not None and self._mirror is not None and self._progress is not None  # noqa: PT018
        assert self.step is not None
        self._signs.check()
        self._lines.write(record)
        self._mirror.record(record)
        if record["kind"] == "evaluation":
            self._progress.evaluated(self.step, record)
        else:
            self._progress.show(record)

    def stepped(self, step: int) -> None:
        """Show that it goes on."""
        assert self._progress
        self.step = step
        self._stop_if_taken_over()
        self._progress.advance()

    def select(self, weights: Callable[[], dict[str, Any]]) -> None:
        """Keep the best model so far."""
        self._signs.check()
        write_atomically(self.folder.selected, partial(torch.save, {"step": self.step, **weights()}))

    def checkpoint(self, state: Callable[[], dict[str, Any]], *, last: bool) -> None:
        """Save where that is due, and stop where that is asked for."""
        assert self._lines and self.step is not None  # noqa: PT018
        due = self._saved_at.due(self.step) and not self._checkpoints.busy
        agreed = self._meetings.agreed(Wish(due, self._signals.number), last=last)
        if agreed is None:
            return
        if last or agreed.save or agreed.stop:
            training = state()  # of all processes; what is written from here on is the leader's affair
            self._signs.check()
            self._lines.sync()
            saved = {"training": training, "metrics_size": self._lines.size}
            self._checkpoints.save(saved, self.step, wait=last or bool(agreed.stop))
            self._saved_at.now(self.step)
        if agreed.stop:
            self._signals.obey(agreed.stop)

    # ------------------------------------------------------------------ parts

    def _check_signals(self) -> None:
        if self._processes.world == 1:  # together they stop at a meeting
            self._signals.check()

    def _check_metrics(self, saved: Mapping[str, Any]) -> None:
        """Raise Unusable for a checkpoint whose metrics are no longer there: the run would lose lines for ever."""
        metrics = self.folder.metrics
        if (metrics.stat().st_size if metrics.exists() else 0) < saved["metrics_size"]:
            raise Unusable(f"does not fit {metrics.name}, which has lost lines since")

    def _stop_if_taken_over(self) -> None:
        if self._signs.taken_over:  # as the thread of signs saw, without a look at the disk in every step
            self._signs.check()

    def _write_circumstances(self) -> None:
        folder = self.folder
        write_atomically(
            folder.config,
            lambda file: file.write(yaml.safe_dump(self.run.config(), sort_keys=False).encode()),
        )
        starts = read_json_if_any(folder.environment) or []
        here = environment(self._processes.world)
        for what in ("threads", "processes"):
            if starts and starts[-1].get(what, 1) != here[what] and folder.checkpoints.exists():
                self.log.say(
                    f"note: this run was begun with {starts[-1][what]} {what} and goes on with {here[what]}: it may end "
                    f"another way than an undisturbed one; set hardware.{what} to keep them equal"
                )
        write_json(folder.environment, [*starts, here])
        folder.diff.unlink(missing_ok=True)
        if diff := provenance()["diff"]:
            folder.diff.write_text(diff)


class Follower:
    """Trains its part of a run that another process leads, and writes nothing."""

    def __init__(self, run: Run, signals: StopSignals, processes: Processes) -> None:
        self.run, self._signals, self._processes = run, signals, processes
        self._meetings = Meetings(processes)
        self.step: int | None = None

    def train(self) -> None:
        """As the leader does, from the checkpoint that it chose."""
        _, _, training = prepared(self.run, self._processes, lambda: None)
        if name := self._processes.told(None):
            checkpoints = Checkpoints(self.run.folder.checkpoints, lambda line: None)
            training.load_state_dict(checkpoints.read(name, training.device)["training"])
        self.step = training.step
        training.run(self)
        training.state_dict()  # of which the leader makes the result
        tested_once(training, self.run.folder, self._processes)

    def close(self) -> None:
        """Nothing is open."""

    def record(self, record: Mapping[str, Any]) -> None:
        """The leader's affair."""

    def stepped(self, step: int) -> None:
        """Know the step."""
        self.step = step

    def select(self, weights: Callable[[], dict[str, Any]]) -> None:
        """The leader's affair."""

    def checkpoint(self, state: Callable[[], dict[str, Any]], *, last: bool) -> None:
        """Take part in the leader's checkpoint, and stop with it."""
        agreed = self._meetings.agreed(Wish(stop=self._signals.number), last=last)
        if agreed is None:
            return
        if last or agreed.save or agreed.stop:
            state()
        if agreed.stop:
            self._signals.obey(agreed.stop)


def prepared(run: Run, processes: Processes, check: Callable[[], None]) -> tuple[Task, str, Training]:
    """The task, where its data come from, and the training before its first step. check: asked now and then."""
    device = device_of(run)
    torch.manual_seed(run.seed if processes.leads else derive_seed(run.seed, "rank", processes.rank))
    task, source = run.family.build_task(run, run.paths.data, device, processes)
    check()
    training = assemble(run, task, device, processes)
    check()
    return task, source, training


def tested_once(training: Training, folder: RunFolder, processes: Processes) -> Tested | None:
    """The test of the selected model, where that is what the task does at the end; None where none was selected."""
    if not training.task.tests_once or training.judged.selected_step is None:
        return None
    processes.told(None)  # the leader has written it
    selected = torch.load(folder.selected, map_location=training.device, weights_only=True)
    if selected["step"] != training.judged.selected_step:
        raise RuntimeError(
            f"{folder.selected} is of step {selected['step']}, and the best validation was at {training.judged.selected_step}: "
            "the training was resumed and went another way; overwrite=true trains it again"
        )
    return training.test(selected)


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


class _Due:
    """When the next checkpoint is due."""

    def __init__(self, policy: Checkpointing) -> None:
        self._policy = policy
        self._time, self._step = time.monotonic(), 0

    def due(self, step: int) -> bool:
        late = time.monotonic() - self._time >= self._policy.seconds
        return late or (self._policy.steps is not None and step - self._step >= self._policy.steps)

    def now(self, step: int) -> None:
        self._time, self._step = time.monotonic(), step
