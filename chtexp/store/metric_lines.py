"""metrics.jsonl while it is written: every line is whole once it is there, and the file knows the checksum of what it holds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from chtexp.store.files import set_aside


class MetricLines:
    """Appends records to a JSON-lines file."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open the file and cut off what a killed process wrote after its last checkpoint; set a folder in its place aside.

        Args:
            path: the file.
            size: the bytes to keep.

        Raises:
            RuntimeError: the file is shorter than its checkpoint says.
        """
        if path.is_dir():
            set_aside(path)
        self._file = path.open("a+b")
        if self.size < size:
            self._file.close()
            raise RuntimeError(f"{path} has lost lines since its checkpoint; overwrite=true trains the run again")
        self._file.truncate(size)
        self._file.seek(0)
        self._digest = hashlib.sha256(self._file.read())

    def write(self, record: Mapping[str, object]) -> None:
        """Append one record."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._digest.update(line)

    def sync(self) -> None:
        """Wait until everything written is on disk."""
        os.fsync(self._file.fileno())

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self._file.seek(0, os.SEEK_END)

    @property
    def checksum(self) -> str:
        """The checksum of everything written, and of what was there before."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def checksum_of_first(path: Path, size: int) -> str | None:
    """Compute the checksum of the first bytes of a file.

    Args:
        path: the file; one that is not there, or cannot be read, is empty.
        size: how many bytes.

    Returns:
        The checksum, in hexadecimal; None if the file is shorter.
    """
    try:
        with path.open("rb") as file:
            first = file.read(size)
    except OSError:
        first = b""
    return hashlib.sha256(first).hexdigest() if len(first) == size else None
