"""A folder to work in, whose content becomes part of the data in one step or leaves nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.errors import Unavailable

PREFIX = ".prepare-"
ABANDONED = 24 * 3600.0  # seconds without a new file after which a folder was left behind by a killed process


@contextmanager
def staging(root: Path, advice: str = "") -> Iterator[Path]:
    """A fresh folder inside a root, gone afterwards.

    Args:
        root: of the data.
        advice: what an error message ends in.

    Raises:
        Unavailable: the root cannot be written.
    """
    with writable(root, advice):
        _sweep(root)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=root) as folder:
            yield Path(folder)


@contextmanager
def writable(root: Path, advice: str = "") -> Iterator[None]:
    """Make a root; inside, failures to write become one clear error.

    Args:
        root: of the data.
        advice: what an error message ends in.

    Raises:
        Unavailable: the root cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Unavailable(f"cannot write to the data folder {root}: {error.strerror or error}{advice}") from None


def _sweep(root: Path) -> None:
    """Remove what killed processes left behind."""
    for left in root.glob(f"{PREFIX}*"):
        if time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
