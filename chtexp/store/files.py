"""Files that are either whole or not there, and lines that survive a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from chtexp.errors import UserError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file that takes the name `path` only once it is whole and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file that is on disk its final name, so that the name survives a power cut, too.

    Some file systems cannot sync a folder; there the name is as safe as they make it.
    """
    unfinished.replace(path)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically. NaN and infinity are errors: no reader would take them."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> Any:
    """The value in `path`; raises UserError naming the file if it is no JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read ({error}); remove it, and the run goes on from its checkpoint"
        ) from None


def read_json_if_any(path: Path) -> Any | None:
    """`read_json`, or None where there is no such file: one call of the system for what thousands of runs are asked."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file; a last line that was cut off by a crash is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def last_line(path: Path, **wanted: Any) -> dict[str, Any] | None:
    """The last whole record of a JSON-lines file that has these values; reads no more of it than it must."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        end, size, rest = file.seek(0, os.SEEK_END), 1 << 13, b""
        while end > 0:
            start = max(0, end - size)
            file.seek(start)
            lines = (file.read(end - start) + rest).split(b"\n")
            rest = lines[0] if start else b""
            # what stands after the last line break is no whole line
            for line in reversed(lines[1 if start else 0 : -1]):
                record: dict[str, Any] = json.loads(line)
                if all(record.get(key) == value for key, value in wanted.items()):
                    return record
            rest += b"\n" if start else b""
            end = start
    return None
