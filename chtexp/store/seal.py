"""Checksums of what is written: a changed number, or a changed file, is detected when it is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Self

from chtexp.store.files import write_atomically
from chtexp.store.records import Plain, Record

SCHEMA = 2  # of what is written now; files without one are of schema 1
CHECKSUM, CIRCUMSTANCES = "checksum", "environment"
FILES = "files"  # beside the checksum of a result: those of files that go with it, by name
SUMS = "SHA256SUMS"


class Sealed(Record):
    """A record with a checksum, which reveals later changes; records of schema 1 have none."""

    @classmethod
    def of(cls, values: object) -> Self:
        """Make a record of plain values.

        Raises:
            ValueError: the values are not whole, or the seal is broken.
        """
        if isinstance(values, dict) and (wrong := broken(values)):
            raise ValueError(wrong)
        return super().of(values)


def sealed(values: Plain, **beside: object) -> dict[str, object]:
    """Add the schema, and a checksum over all values.

    The seal is part of the environment, where there is one: two runs that end equal differ in nothing else.

    Args:
        values: the values to seal.
        beside: further values that belong to the seal.

    Returns:
        The sealed values.
    """
    whole = {"schema": SCHEMA, **{key: value for key, value in values.items() if key != "schema"}}
    noted = {**_circumstances(whole), **beside}
    return _with(whole, {**noted, CHECKSUM: checksum(_with(whole, noted))})


def unsealed(values: Plain) -> dict[str, object]:
    """The values as they were before they were `sealed`, without schema, checksum and file checksums."""
    bare = _with(values, {key: value for key, value in _circumstances(values).items() if key not in (CHECKSUM, FILES)})
    return {key: value for key, value in bare.items() if key != "schema"}


def broken(values: Plain) -> str | None:
    """Check the seal of values as they were read.

    Args:
        values: the values, with schema and checksum.

    Returns:
        What is wrong; None where the seal is whole, or where (schema 1) there is none.

    Raises:
        ValueError: no file can hold these values.
    """
    found, said = checksum(values), _circumstances(values).get(CHECKSUM)
    if values.get("schema") in (None, 1) and said is None:
        return None
    if values.get("schema") == 1:
        return "has a checksum, which schema 1 does not have"
    if values.get("schema") != SCHEMA:
        return f"is of schema {values.get('schema')!r}, and this version of chtexp reads 1 and {SCHEMA}"
    if said is None:
        return "has lost its checksum"
    return None if said == found else "is not what its checksum says"


def checksum(values: Plain) -> str:
    """Compute the checksum of the content without the checksum in it; the order of names, and null values, make no difference."""
    bare = _with(values, {key: value for key, value in _circumstances(values).items() if key != CHECKSUM})
    said = {key: value for key, value in bare.items() if value is not None}
    text = json.dumps(said, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _circumstances(values: Plain) -> Plain:
    """The part of `values` that holds the seal."""
    found = values.get(CIRCUMSTANCES)
    return found if isinstance(found, dict) else values


def _with(values: Plain, circumstances: Plain) -> dict[str, object]:
    """`values`, with other circumstances."""
    if isinstance(values.get(CIRCUMSTANCES), dict):
        return {**values, CIRCUMSTANCES: dict(circumstances)}
    return dict(circumstances)


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files in `folder` to SUMS, in the format of `sha256sum --check`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = "".join(f"{file_checksum(folder / name)}  {name}\n" for name in names)
    write_atomically(folder / SUMS, lambda file: file.write(lines.encode()))


def file_checksum(path: Path) -> str:
    """Compute the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
