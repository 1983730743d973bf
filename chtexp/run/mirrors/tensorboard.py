"""TensorBoard: event files in the run's own folder, so that `tensorboard --logdir runs` shows all runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from chtexp.config.run import Run
from chtexp.run.curves import curves
from chtexp.run.mirrors.flat import flat, numbers

FOLDER = "tensorboard"


class TensorBoardMirror:
    """Writes every number of a run's records as a scalar, by optimizer steps, and at the end the curves and the result.

    A run that was resumed has one history: all records in its folder are written again, and replace what earlier starts wrote.

    Args:
        run: the run, with its folder.
    """

    def __init__(self, run: Run) -> None:
        self._folder = run.folder
        place = run.folder.path / FOLDER
        shutil.rmtree(place, ignore_errors=True)
        self._writer = SummaryWriter(str(place))
        for record in run.folder.read_metrics():
            self.record(record)

    def record(self, record: Mapping[str, object]) -> None:
        """Write the numbers of one record: under its kind, and those of layers under their names."""
        step, values = numbers(record)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, result: Mapping[str, object] | None) -> None:
        """Close the event file.

        Args:
            result: it becomes a text, and the records become a figure; None: the run did not finish.
        """
        if result is not None:
            lines = [f"{key}: {value}" for key, value in flat(result).items() if isinstance(value, int | float | str)]
            self._writer.add_text("result", "  \n".join(lines))
            drawn = np.asarray(curves(self._folder.read_metrics(), str(result["metric"])).convert("RGB"))
            self._writer.add_image("curves", drawn, dataformats="HWC")
        self._writer.close()
