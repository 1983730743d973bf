"""The messages of one start of a run, on the terminal and in the run's log, and how it ended."""

from __future__ import annotations

from contextlib import suppress

from chtexp.store import RunFolder
from chtexp.store.starts import Start


class RunLog:
    """Writes the messages of one start.

    Args:
        folder: of the run.
        start: the start.
        quiet: whether to print the last message only; the log has all of them.
    """

    def __init__(self, folder: RunFolder, start: Start, *, quiet: bool = False) -> None:
        self._folder, self._start, self._quiet = folder, start, quiet

    def say(self, line: str) -> None:
        """Write a line to the log and, unless it is to be quiet, print it."""
        if not self._quiet:
            print(line, flush=True)
        self.write(line)

    def conclude(self, line: str) -> None:
        """Print the last line of a start, and write it to the log."""
        print(line, flush=True)
        self.write(line)

    def write(self, text: str) -> None:
        """Write a text to the log alone."""
        with suppress(OSError), self._folder.log.open("a") as file:  # a full disk must not hide messages
            file.write(text + "\n")

    def end(self, state: str, **details: object) -> None:
        """Note how the start ended, if that can still be written.

        Args:
            state: `failed`, `preempted` or `timed-out`.
            **details: `reason`, `step` and `traceback`.
        """
        with suppress(OSError):
            self._start.end(state, **details)
