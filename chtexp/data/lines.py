"""The lines of a text file, plain or gzipped. Only line feeds end a line: other separators of Unicode occur inside of text."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from chtexp.errors import Unavailable, UserError

Line = tuple[int, str]


def lines(path: Path) -> Iterator[Line]:
    """Read the lines of a UTF-8 file, plain or gzipped.

    Args:
        path: the file.

    Yields:
        The number of every line, from 1 on, and its text without the line break.

    Raises:
        UserError: the file cannot be read, or a line is not UTF-8.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: not UTF-8 ({error.reason}); fetch the file again") from None
    except (OSError, EOFError, zlib.error) as error:
        raise Unavailable(f"cannot read {path}: {error}; fetch the file again") from None
