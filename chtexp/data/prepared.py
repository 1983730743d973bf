"""What every prepared data set on disk has: a folder named by what it was made with, files, and a manifest, written last.

The folder is `<name>/prepared-<key>`; the key is a hash of the description and of the libraries that decide what comes out.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from chtexp.config.typed import Description
from chtexp.data.checksums import checksum
from chtexp.errors import Unavailable, UserError

MANIFEST = "manifest.json"
READ_ONLY = "; set CHTEXP_CACHE or paths.cache to a folder that prepared data may be written to"
SMALL = 1 << 24  # bytes; larger files are hashed by `prepare` alone, their size is checked always


class StoredFile(Description):
    """What a file should be.

    Attributes:
        bytes: its size.
        sha256: as `checksum` writes it.
    """

    bytes: int
    sha256: str


class PreparedManifest(Description):
    """What a prepared folder holds.

    Attributes:
        versions: of the libraries that made it.
        files: all but the manifest, by name.
    """

    versions: dict[str, str]
    files: dict[str, StoredFile]


M = TypeVar("M", bound=PreparedManifest)


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed versions of libraries, by name."""
    return {library: version(library) for library in libraries}


def prepared_name(described: Mapping[str, object]) -> str:
    """Name the folder of a prepared data set.

    Args:
        described: everything that decides what it holds, as plain values.
    """
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
    return f"prepared-{key}"


def prepared_otherwise(folder: Path) -> str:
    """Say in words what is the matter where a prepared folder is not there."""
    others = any(path.is_dir() for path in folder.parent.glob("prepared-*"))
    return "prepared with other settings or versions, but not with these" if others else "not prepared"


def token_type(vocabulary: int) -> np.dtype:
    """The smallest integer type that holds every id of a vocabulary."""
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def store(folder: Path) -> dict[str, StoredFile]:
    """Describe the files of a folder, by name."""
    return {path.name: stored(path) for path in sorted(folder.iterdir())}


def stored(path: Path) -> StoredFile:
    """Describe a file."""
    return StoredFile(bytes=path.stat().st_size, sha256=checksum(path))


def read_manifest(cls: type[M], folder: Path) -> M | None:
    """Read the manifest of a folder.

    Args:
        cls: its type.
        folder: of the prepared data.

    Returns:
        The manifest; None if there is none.

    Raises:
        UserError: it is broken.
    """
    path = folder / MANIFEST
    try:
        return cls.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        reason = " ".join(error.errors()[0]["msg"].split())
        raise _damaged(path, "the manifest of prepared data", reason, folder) from None


def write_manifest(folder: Path, manifest: PreparedManifest) -> None:
    """Write a manifest beside the files that it lists."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def check(folder: Path, manifest: PreparedManifest, every_byte: bool) -> None:
    """Check the files of a prepared folder.

    Args:
        folder: of the prepared data.
        manifest: what it should hold.
        every_byte: whether large files are hashed, too; their size is checked always.

    Raises:
        Unavailable: a file has another size or checksum.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else 0
        if size != expected.bytes:
            raise _damaged(path, f"{expected.bytes} bytes", f"{size} bytes", folder)
        if (every_byte or size <= SMALL) and (found := checksum(path)) != expected.sha256:
            raise _damaged(path, expected.sha256, found, folder)


def publish(draft: Path, folder: Path, manifest: PreparedManifest, replaced: Path) -> None:
    """Put a finished folder in its place, unless another process has just put the same there.

    Args:
        draft: the finished folder.
        folder: its place.
        manifest: of the finished folder.
        replaced: where what was there is moved.
    """
    if folder.exists() and not _holds(folder, manifest):
        with suppress(FileNotFoundError):  # another process has moved it away
            folder.rename(replaced)
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not _holds(folder, manifest):
            raise


def _holds(folder: Path, manifest: PreparedManifest) -> bool:
    try:
        found = read_manifest(type(manifest), folder)
        check(folder, manifest, every_byte=True)
    except UserError:
        return False
    return found == manifest


def _damaged(path: Path, expected: str, found: str, folder: Path) -> Unavailable:
    advice = f"run 'chtexp prepare data={folder.parent.name}' to mend it"
    return Unavailable(f"{path} is corrupt: expected {expected}, found {found}; {advice}")
