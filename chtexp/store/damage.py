"""The one failure of reading: a file of a run, a sweep or collected results that is not what was written."""

from __future__ import annotations

import sys
from pathlib import Path

from chtexp.errors import FAILURE, Unavailable, UserError


class Damaged(UserError):
    """A file that cannot be read, or whose content cannot be true.

    Attributes:
        path: the file.
        why: what is wrong, to be read after the path.
    """

    exit_code = FAILURE

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, " ".join(why.split())
        super().__init__(f"{path} {self.why}")


class NoUsableCheckpoint(Unavailable):
    """There are checkpoints of a run, and none can be used: only `overwrite=true` goes on."""


def pass_over(damage: Damaged) -> None:
    """Report on the error stream, in one line, what is left out."""
    print(f"chtexp: passed over: {damage}", file=sys.stderr)
