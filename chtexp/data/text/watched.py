"""A file that must stay what it is while a corpus is made of it.

It is known by its size, the time of its last change and its inode: to compare them again costs no reading, and short of setting
the clock back no edit or replacement leaves all three as they were.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from chtexp.data.checksums import checksum
from chtexp.errors import UserError

Mark = tuple[int, int, int]


class WatchedFile:
    """A file, watched from now on.

    Args:
        path: the file; to be watched before its first byte is read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._mark = path, _mark(path)

    @property
    def checksum(self) -> str:
        """Hash all that was read.

        Raises:
            UserError: the file changed.
        """
        self.check()
        found = self._checksum
        self.check()
        return found

    def check(self) -> None:
        """Check that the file is what it was in the beginning.

        Raises:
            UserError: the file changed.
        """
        if _mark(self.path) != self._mark:
            raise UserError(
                f"{self.path} changed while it was read; run 'chtexp prepare' again once nothing writes to it any more"
            )

    @cached_property
    def _checksum(self) -> str:
        return checksum(self.path)


def _mark(path: Path) -> Mark | None:
    """Size in bytes, last change in nanoseconds, inode; None of a file that cannot be had: who opens it says why."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
