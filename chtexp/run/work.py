"""One start of a run: prepare it, train it from where it stands, test it, and write its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import BinaryIO

import torch

from chtexp.build import builder_of
from chtexp.build.assembly import assemble, device_of
from chtexp.config.run import Run
from chtexp.data import Origin
from chtexp.distributed.group import ALONE, Processes
from chtexp.distributed.rendezvous import Rendezvous, Wish
from chtexp.randomness import derive_seed
from chtexp.run.circumstances import write_circumstances
from chtexp.run.mirror import mirror_of
from chtexp.run.observer import RunObserver
from chtexp.run.recorder import Recorder
from chtexp.run.result import summary
from chtexp.run.run_log import RunLog
from chtexp.run.saver import Saver, check_saved
from chtexp.sparse.portable import PortableWeights
from chtexp.store import Damaged, Result, RunFolder
from chtexp.store.files import append_line, write_atomically
from chtexp.store.metric_lines import MetricLines
from chtexp.store.starts import SignsOfLife
from chtexp.system.kernels_cache import compilation_announced
from chtexp.system.signals import StopSignals
from chtexp.tasks import Task, Tested
from chtexp.train.checkpoint import Checkpoints, load_weights
from chtexp.train.loop import Training
from chtexp.train.progress import ProgressLine
from chtexp.train.saved import TrainingState


class Work:
    """Trains a run from its description to its result: alone, or as the leader of processes that train together.

    Args:
        run: the run, whose folder is claimed.
        command: what to type to do this again.
        signals: say whether to stop.
        signs: say whether another process has taken over the run.
        log: receives the messages.
        processes: those that train together.
    """

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
        self._signals, self._signs, self._processes = signals, signs, processes
        self._checkpoints = Checkpoints(self.folder.checkpoints, log.say)
        self._recorder: Recorder | None = None
        self._observer: RunObserver | None = None
        self._result: dict[str, object] | None = None

    @property
    def step(self) -> int | None:
        """Optimizer steps so far; None before the training has been prepared."""
        return self._observer.step if self._observer else None

    def train(self) -> dict[str, object]:
        """Train from the first step or from the last checkpoint, and write the result.

        Returns:
            The result, as result.json has it.

        Raises:
            UserError: the run cannot be trained as described.
            Diverged: the training diverged.
            Stopped: a signal asked the training to stop; once it is under way, a checkpoint was saved before.
            TakenOver: another process has taken over the run.
        """
        append_line(self.folder.commands, self.command)
        task, origin, training = prepared(self.run, self._processes, self._check_signals)
        if self.run.overwrite:
            self.folder.clear()  # only now: what cannot start must not cost what is there
        write_circumstances(self.run, self._processes.world, self.log.say)
        lines = self._resumed(training, task)
        self._recorder = Recorder(lines, mirror_of(self.run, self.log.say), self._progress(task, training.step))
        self._observer = self._observing(self._recorder, training.step)
        with compilation_announced(self.log.say):
            judged = training.run(self._observer)
        self._recorder.trained()
        end, executed = training.state_dict(), training.sparsity.executed
        assert end is not None
        tested = tested_once(training, self.folder, self._processes)
        keepsakes = {**task.keepsakes(), **(tested.files if tested else {})}
        for name, text in keepsakes.items():
            write_atomically(self.folder.path / name, partial(_write_text, text))
        lines.sync()
        made = summary(self.run, training, end, task, judged, tested, executed, origin, self.command)
        self._signs.check()
        result = self.folder.finish(made, keepsakes)
        self._result = result.said
        self._conclude(result)
        return self._result

    def close(self) -> None:
        """Close all files, whatever happened."""
        self._checkpoints.finish()
        if self._recorder:
            self._recorder.close(self._result)

    # ------------------------------------------------------------------ parts

    def _check_signals(self) -> None:
        if self._processes.world == 1:  # several processes stop at a rendezvous
            self._signals.check()

    def _resumed(self, training: Training, task: Task) -> MetricLines:
        """Restore the last usable checkpoint, if there is one; return metrics.jsonl, open and cut to that moment."""
        folder = self.folder
        state = self._checkpoints.load(training.device, partial(check_saved, self.run))
        self._processes.broadcast_object(state is not None and state["name"])
        if state is None:
            if folder.metrics.exists():
                self.log.say(
                    "started before, but stopped before its first checkpoint (checkpoint.seconds): from the start"
                )
            self.log.say(f"training {folder.path}, {task.total_steps} steps")
            return MetricLines(folder.metrics)
        training.load_state_dict(state["training"])
        lines = MetricLines(folder.metrics, state["metrics_size"])
        self.log.say(f"resuming {folder.path} at step {training.step} of {task.total_steps}")
        return lines

    def _progress(self, task: Task, step: int) -> ProgressLine:
        run = self.run
        progress = ProgressLine(
            f"{run.data.name} {run.method.name} seed {run.seed}",
            task.total_steps,
            step,
            task.selection.metric if task.selection.tested_once else task.metric,
            self.log.say,
            quiet=run.logger.quiet,
        )
        with suppress(Damaged):  # of a checkpoint that has no checksum of the metrics
            progress.show(self.folder.last_evaluation())
        return progress

    def _observing(self, recorder: Recorder, step: int) -> RunObserver:
        meetings = Rendezvous(self._processes)
        saver = Saver(self.run, self._checkpoints, recorder, meetings, self._signals, self._signs)
        return RunObserver(self.folder, recorder, saver, self._signs, step)

    def _conclude(self, result: Result) -> None:
        said = {"last": result.last, "best": result.best, "reported": result.reported}
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in said.items() if value is not None)
        self.log.conclude(f"done: {result.metric} {numbers}; {self.folder.result}")


class Follower:
    """Trains its share of a run that another process leads, and writes nothing.

    Args:
        run: the run.
        signals: say whether to stop.
        processes: those that train together.

    Attributes:
        step: optimizer steps so far; None before the training has been prepared.
    """

    def __init__(self, run: Run, signals: StopSignals, processes: Processes) -> None:
        self.run, self._signals, self._processes = run, signals, processes
        self._meetings = Rendezvous(processes)
        self.step: int | None = None

    def train(self) -> None:
        """Train as the leader does, from the checkpoint that it chose."""
        _, _, training = prepared(self.run, self._processes, lambda: None)
        name = self._processes.broadcast_object(None)
        if isinstance(name, str):
            checkpoints = Checkpoints(self.run.folder.checkpoints, lambda line: None)
            training.load_state_dict(checkpoints.read(name, training.device)["training"])
        self.step = training.step
        training.run(self)
        training.state_dict()  # the leader needs all processes for it
        tested_once(training, self.run.folder, self._processes)

    def close(self) -> None:
        """Do nothing, because no file is open."""

    def record(self, record: Mapping[str, object]) -> None:
        """Do nothing: the leader writes records."""

    def stepped(self, step: int) -> None:
        """Count one more step."""
        self.step = step

    def select(self, weights: Callable[[], PortableWeights]) -> None:
        """Do nothing: the leader keeps the selected model."""

    def checkpoint(self, state: Callable[[], TrainingState | None], *, last: bool) -> None:
        """Take part in the leader's checkpoint, and stop with it."""
        agreed = self._meetings.agreed(Wish(stop=self._signals.number), last=last)
        if agreed is None:
            return
        if last or agreed.save or agreed.stop:
            state()
        if agreed.stop:
            self._signals.obey(agreed.stop)


def prepared(run: Run, processes: Processes, check: Callable[[], None]) -> tuple[Task, Origin, Training]:
    """Prepare a training.

    Args:
        run: the run.
        processes: those that train together.
        check: called between the parts of this, which may take long; it may raise.

    Returns:
        The task, where its data come from, and the training before its first step.

    Raises:
        UserError: the data are missing, or the run cannot be trained as described.
    """
    device = device_of(run)
    torch.manual_seed(run.seed if processes.leads else derive_seed(run.seed, "rank", processes.rank))
    task, origin = builder_of(run).task(run.paths.data, device, processes)
    check()
    training = assemble(run, task, device, processes)
    check()
    return task, origin, training


def tested_once(training: Training, folder: RunFolder, processes: Processes) -> Tested | None:
    """Test the selected model, if the task tests once, at the end.

    Args:
        training: the finished training; it cannot go on after this.
        folder: of the run, which has the selected weights.
        processes: those that train together.

    Returns:
        The scores; None if the task does not test once, or if no model was selected.

    Raises:
        Damaged: the weights cannot be read.
        RuntimeError: the weights are those of another step than the selected one.
    """
    if not training.task.selection.tested_once or training.judged.selected_step is None:
        return None
    processes.broadcast_object(None)  # wait until the leader has written the file
    selected = load_weights(folder.selected, training.device)
    if selected["step"] != training.judged.selected_step:
        raise RuntimeError(
            f"{folder.selected} is of step {selected['step']}, and the best validation was at {training.judged.selected_step}: "
            "the training was resumed and went another way; overwrite=true trains it again"
        )
    return training.test(selected)


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())
