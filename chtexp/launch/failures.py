"""When a sweep gives up: after too many failures, whichever of its jobs, on whichever machine, they befell."""

from __future__ import annotations

from collections.abc import Sequence

from chtexp.launch.sweep_folder import SweepTask
from chtexp.store import condition


class Failures:
    """The failures of a whole sweep since it began, counted anew off the folders of its runs whenever it is asked.

    Nobody keeps a count, so nobody can lose one: jobs of a cluster see each other's failures as soon as their file system shows
    them.

    Args:
        tasks: all of the sweep.
        allowed: failures that are too many; None: any number is fine.

    Attributes:
        traceless: failures that left no trace in their run's folder, and that this process alone knows of.
    """

    def __init__(self, tasks: Sequence[SweepTask], allowed: int | None) -> None:
        self._tasks, self._allowed = tasks, allowed
        self.traceless = 0

    def too_many(self) -> bool:
        """Whether no further run should start."""
        if self._allowed is None:
            return False
        return self.traceless + sum(map(_failed, self._tasks)) >= self._allowed


def _failed(task: SweepTask) -> bool:
    """Whether its run was started since the sweep began, and failed."""
    folder = task.run_folder
    return folder.starts > task.starts_before and condition(folder).state == "failed"
