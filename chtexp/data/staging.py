"""A folder to work in, that becomes part of the data in one step or leaves nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.errors import UserError


@contextmanager
def staging(root: Path, advice: str = "") -> Iterator[Path]:
    """A fresh folder inside `root`, gone afterwards. Raises `UserError`, ending in `advice`, if that cannot be written."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".prepare-", dir=root) as folder:
            yield Path(folder)
    except OSError as error:
        raise UserError(f"cannot write to the data folder {root}: {error.strerror or error}{advice}") from None
