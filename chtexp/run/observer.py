"""What the leader of a run does as its training goes on: write records, keep the selected model, save checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from chtexp.run.recorder import Recorder
from chtexp.run.saver import Saver
from chtexp.sparse.portable import PortableWeights
from chtexp.store import RunFolder
from chtexp.store.files import write_atomically
from chtexp.store.starts import SignsOfLife
from chtexp.train.saved import TrainingState


class RunObserver:
    """Observes the training of one run; see `chtexp.train.loop.Observer`.

    Once another process has taken over the run, nothing is written any more, and TakenOver is raised.

    Args:
        folder: of the run.
        recorder: takes every record.
        saver: saves checkpoints.
        signs: say whether the run was taken over.
        step: optimizer steps so far.

    Attributes:
        step: optimizer steps so far.
    """

    def __init__(self, folder: RunFolder, recorder: Recorder, saver: Saver, signs: SignsOfLife, step: int) -> None:
        self._folder, self._recorder, self._saver, self._signs = folder, recorder, saver, signs
        self.step = step

    def record(self, record: Mapping[str, object]) -> None:
        """Write one evaluation or topology update."""
        self._signs.check()
        self._recorder.record(record, self.step)

    def stepped(self, step: int) -> None:
        """Count one more step and move the progress bar."""
        self.step = step
        if self._signs.taken_over:  # as a thread saw: no step reads the disk
            self._signs.check()
        self._recorder.advance()

    def select(self, weights: Callable[[], PortableWeights]) -> None:
        """Keep the selected model in the run's folder."""
        self._signs.check()
        write_atomically(self._folder.selected, partial(torch.save, {"step": self.step, **weights()}))

    def checkpoint(self, state: Callable[[], TrainingState | None], *, last: bool) -> None:
        """Save a checkpoint if one is due, and stop if a signal asked for it."""
        self._saver.checkpoint(self.step, state, last=last)
