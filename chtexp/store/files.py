"""Files that are written whole or not at all, and lines that survive a crash."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from chtexp.store.damage import Damaged
from chtexp.store.records import Part, Record, in_words

R = TypeVar("R", bound=Part)
L = TypeVar("L", bound=Record)
T = TypeVar("T")
UNREADABLE = (OSError, ValueError, RecursionError, OverflowError)  # what parsing and checking a damaged file raises


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that takes its name only when it is whole and on disk.

    Args:
        path: the file; its folder is created.
        write: writes the content to an open file.
    """
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


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes its name when all of it is written; what fails leaves nothing.

    Args:
        folder: its name; nothing lies there, or an empty folder.
    """
    folder = folder.resolve()  # `.` has no name
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for path in unfinished.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file that is on disk its final name, so that the name survives a power cut as well.

    Some file systems cannot sync a folder; there the name is as safe as they make it.

    Args:
        unfinished: the file.
        path: its final name.
    """
    if path.is_dir():  # nothing that anybody meant to be there
        set_aside(path)
    unfinished.replace(path)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def set_aside(damaged: Path) -> Path:
    """Rename what is damaged, so that nothing reads it; return the new name."""
    aside = free_name(damaged)
    damaged.replace(aside)
    return aside


def free_name(damaged: Path) -> Path:
    """A name beside `damaged` that is not taken."""
    names = (damaged.with_name(f"{damaged.name}.damaged{again or ''}") for again in count())
    return next(name for name in names if not os.path.lexists(name))


def append_line(path: Path, line: str) -> None:
    """Append a line to a file; a folder in its place is set aside."""
    if path.is_dir():
        set_aside(path)
    with path.open("a") as file:
        file.write(line + "\n")


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, atomically.

    Raises:
        ValueError: it holds NaN or infinity, which no reader would take.
    """
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> object:
    """Read the JSON value in `path`.

    Raises:
        Damaged: it is not JSON, or cannot be read at all.
        FileNotFoundError: there is no such file.
    """
    try:
        return parsed(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except UNREADABLE as error:
        raise cannot_be_read(path, error) from None


def parsed(text: bytes) -> object:
    """Parse a JSON value, in which NaN and infinity are not allowed; raises one of UNREADABLE."""
    return json.loads(text, parse_constant=_no_number)


def as_read(value: object) -> object:
    """Plain values as they will be read back.

    Raises:
        ValueError: they cannot be written.
    """
    return parsed(json.dumps(value, allow_nan=False).encode())


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def cannot_be_read(path: Path, error: Exception) -> Damaged:
    """The damage of a file whose reading raised one of UNREADABLE."""
    said = error.strerror if isinstance(error, OSError) else None
    return Damaged(path, f"cannot be read ({said or error})")


def read_record(path: Path, kind: type[R]) -> R:
    """Read the record in `path`.

    Args:
        path: the file.
        kind: the type of the record.

    Returns:
        The record.

    Raises:
        Damaged: it is not a whole record of this type.
        FileNotFoundError: there is no such file.
    """
    return record_of(path, kind, read_json(path))


def read_as(path: Path, kind: type[T]) -> T:
    """Read `path` as any type that declares its fields, e.g. a dataclass.

    Args:
        path: the file.
        kind: the type.

    Returns:
        The value.

    Raises:
        Damaged: it is not a value of this type.
        FileNotFoundError: there is no such file.
    """
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        raise Damaged(path, in_words(error)) from None


def read_record_if_any(path: Path, kind: type[R]) -> R | None:
    """Read the record in `path`, or None where there is no such file: one system call, for thousands of runs are asked.

    Raises:
        Damaged: it is not a whole record of this type.
    """
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        return None


def read_records_if_any(path: Path, kind: type[R]) -> list[R]:
    """Read the list of records in `path`; empty where there is no such file.

    Raises:
        Damaged: it is not a list of whole records of this type.
    """
    try:
        values = read_json(path)
    except FileNotFoundError:
        return []
    if not isinstance(values, list):
        raise Damaged(path, f"is no list of records: {type(values).__name__}")
    return [record_of(path, kind, value) for value in values]


def record_of(path: Path, kind: type[R], value: object) -> R:
    """Make a record of a value that `path` holds.

    Raises:
        Damaged: it is not a whole record of this type.
    """
    try:
        return kind.of(value)
    except UNREADABLE as error:
        raise Damaged(path, str(error)) from None


def read_text(path: Path) -> str:
    """Read the text in `path`; empty where there is no such file.

    Raises:
        Damaged: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UNREADABLE as error:
        raise cannot_be_read(path, error) from None


def read_lines(path: Path, kind: type[R]) -> list[R]:
    """Read the records of a JSON-lines file; a last line that a crash cut off is passed over.

    Raises:
        Damaged: a line is not a whole record of this type.
    """
    try:
        with path.open("rb") as file:
            return [record_of(path, kind, parsed(line)) for line in file if line.endswith(b"\n")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Damaged:
        raise
    except UNREADABLE as error:
        raise cannot_be_read(path, error) from None


def last_line(path: Path, of: type[L], /, **wanted: object) -> L | None:
    """Find the last whole record of a JSON-lines file that has certain values; read no more of the file than necessary.

    Args:
        path: the file.
        of: the type of the records.
        wanted: values by name, which the record must have.

    Returns:
        The record, or None.

    Raises:
        Damaged: a line is not a whole record of this type.
    """
    try:
        return _last_line(path, of, wanted)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Damaged:
        raise
    except UNREADABLE as error:
        raise cannot_be_read(path, error) from None


def _last_line(path: Path, of: type[L], wanted: Mapping[str, object]) -> L | None:
    with path.open("rb") as file:
        end, size, rest = file.seek(0, os.SEEK_END), 1 << 13, b""
        while end > 0:
            start = max(0, end - size)
            file.seek(start)
            lines = (file.read(end - start) + rest).split(b"\n")
            rest = lines[0] if start else b""
            # what stands after the last line break is no whole line
            for line in reversed(lines[1 if start else 0 : -1]):
                record = record_of(path, of, parsed(line))
                if all(record.plain.get(key) == value for key, value in wanted.items()):
                    return record
            rest += b"\n" if start else b""
            end = start
    return None
