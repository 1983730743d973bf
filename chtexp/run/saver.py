"""When a training is saved, and when it stops because it was asked to."""

from __future__ import annotations

import time
from collections.abc import Callable

from chtexp.config.run import Checkpointing, Run
from chtexp.distributed.rendezvous import Rendezvous, Wish
from chtexp.run.recorder import Recorder
from chtexp.store.metric_lines import checksum_of_first
from chtexp.store.starts import SignsOfLife
from chtexp.system.signals import StopSignals
from chtexp.train.checkpoint import Checkpoints, Unusable
from chtexp.train.saved import Saved, TrainingState


class Saver:
    """Saves the checkpoints of a training and stops it, all its processes after the same step.

    Args:
        run: what is trained; its configuration says when a checkpoint is due.
        checkpoints: the folder that they are written to.
        recorder: knows size and checksum of metrics.jsonl, which a checkpoint notes.
        meetings: at which the processes agree.
        signals: say whether to stop.
        signs: say whether another process has taken over the run.
    """

    def __init__(
        self,
        run: Run,
        checkpoints: Checkpoints,
        recorder: Recorder,
        meetings: Rendezvous,
        signals: StopSignals,
        signs: SignsOfLife,
    ) -> None:
        self._due, self._checkpoints, self._recorder = _Due(run.checkpoint), checkpoints, recorder
        self._run = run
        self._meetings, self._signals, self._signs = meetings, signals, signs

    def checkpoint(self, step: int, state: Callable[[], TrainingState | None], *, last: bool) -> None:
        """Save a checkpoint if one is due, and stop if a signal asked for it.

        Args:
            step: optimizer steps so far.
            state: returns what to save; all processes must call theirs.
            last: whether the training is over, so that a checkpoint must be saved.

        Raises:
            Stopped: a signal asked for it; a checkpoint was saved before.
            TakenOver: another process has taken over the run.
        """
        due = self._due.at(step) and not self._checkpoints.busy
        agreed = self._meetings.agreed(Wish(due, self._signals.number), last=last)
        if agreed is None:
            return
        if last or agreed.save or agreed.stop:
            training = state()  # all processes take part in this; the rest is for the leader alone
            assert training is not None
            self._signs.check()
            size, checksum = self._recorder.written()
            saved: Saved = {
                "run": key_of(self._run),
                "training": training,
                "metrics_size": size,
                "metrics_checksum": checksum,
            }
            self._checkpoints.save(saved, step, wait=last or bool(agreed.stop))
            self._due.saved(step)
        if agreed.stop:
            self._signals.obey(agreed.stop)


def key_of(run: Run) -> list[str | int]:
    """By what a checkpoint knows its run: identity and seed."""
    return [run.id, run.seed]


def check_saved(run: Run, saved: Saved) -> None:
    """Check that a checkpoint is of a run, and that the metrics before it are all there.

    Args:
        run: the run; its metrics could not be mended later.
        saved: the checkpoint.

    Raises:
        Unusable: it is no checkpoint, or that of another run, or metrics.jsonl does not begin with what it held
            at that moment.
    """
    if not isinstance(saved, dict) or not {"training", "metrics_size"} <= saved.keys():
        raise Unusable("is no checkpoint of a run")
    if saved.get("run", key_of(run)) != key_of(run):
        raise Unusable("is of another run")
    metrics = run.folder.metrics
    found = checksum_of_first(metrics, saved["metrics_size"])
    if found is None:
        raise Unusable(f"does not fit {metrics.name}, which has lost lines since")
    if saved.get("metrics_checksum", found) != found:
        raise Unusable(f"does not fit {metrics.name}, which is damaged")


class _Due:
    """Tells when the next checkpoint is due."""

    def __init__(self, policy: Checkpointing) -> None:
        self._policy = policy
        self._time, self._step = time.monotonic(), 0

    def at(self, step: int) -> bool:
        late = time.monotonic() - self._time >= self._policy.seconds
        return late or (self._policy.steps is not None and step - self._step >= self._policy.steps)

    def saved(self, step: int) -> None:
        self._time, self._step = time.monotonic(), step
