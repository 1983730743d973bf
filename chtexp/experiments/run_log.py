"""What a start of a run says: to the person, to the run's log, and how it ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from chtexp.store import RunFolder
from chtexp.store.starts import Start


class RunLog:
    """The words of one start. quiet: only what concludes it is printed; the log has it all."""

    def __init__(self, folder: RunFolder, start: Start, *, quiet: bool = False) -> None:
        self._folder, self._start, self._quiet = folder, start, quiet

    def say(self, line: str) -> None:
        """To the log and, unless it shall be quiet, to the person."""
        if not self._quiet:
            print(line, flush=True)
        self.write(line)

    def conclude(self, line: str) -> None:
        """The last word, to the person and to the log."""
        print(line, flush=True)
        self.write(line)

    def write(self, text: str) -> None:
        """To the log alone."""
        with suppress(OSError), self._folder.log.open("a") as file:  # a full disk must not hide what is said
            file.write(text + "\n")

    def end(self, state: str, **details: Any) -> None:
        """How it ended, if it can still be said."""
        with suppress(OSError):
            self._start.end(state, **details)
