"""A prepared data set on disk: where it lies, what is in it, and whether it is whole.

`<root>/<name>/prepared-<key>/` holds, for every split, `<split>.<side>.tokens` (flat, uint16 or uint32) and
`<split>.<side>.starts` (int64); for validation and test the raw text of both sides and the references as Moses tokens; the
vocabulary; and the manifest, which is written last. The key is a hash of the description and of the libraries that tokenise.

Shapes: N pairs.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from chtexp.data.checksums import checksum
from chtexp.data.translation.config import TranslationDataConfig
from chtexp.data.translation.moses import Moses
from chtexp.errors import UserError
from chtexp.typed import Description, identity

FORMAT = 1  # to be raised when the same text becomes other tokens, or the files change
LIBRARIES = ("tokenizers", "sacremoses")
MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.json"
SIDES = ("source", "target")
TEXTS = ("source.txt", "target.txt", "target.pipeline.txt")
SMALL = 1 << 24  # bytes; larger files are hashed by `prepare` alone, their size is checked always


class StoredFile(Description):
    """What a file should be; sha256 as `checksum` writes it."""

    bytes: int
    sha256: str


class Manifest(Description):
    """raw: checksums of the files that the text came from. pairs: of every split. dropped: training pairs left out.

    tokens: of the training pairs, both sides, ends of sentence included. vocabulary: its size.
    """

    config: TranslationDataConfig
    versions: dict[str, str]
    raw: dict[str, str]
    pairs: dict[str, int]
    dropped: int
    tokens: int
    vocabulary: int
    files: dict[str, StoredFile]


def versions() -> dict[str, str]:
    """The libraries that decide what the tokens are."""
    return {library: version(library) for library in LIBRARIES}


def raw_folder(config: TranslationDataConfig, root: Path | None) -> Path:
    """Where the raw files lie. Raises `UserError` without a data root."""
    if root is None:
        raise UserError(
            f"{config.corpus.title} needs a data folder: set CHTEXP_DATA or paths.data to one, "
            f"then run 'chtexp prepare data={config.name}'"
        )
    return Path(root).expanduser() / config.name


def cache_folder(config: TranslationDataConfig, root: Path | None, cache: Path | None) -> Path:
    """Where the prepared data lie: below `cache`, or below the data root where that is None."""
    described = {"format": FORMAT, "config": identity(config), "versions": versions()}
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
    return raw_folder(config, cache if cache is not None else root) / f"prepared-{key}"


def moses_of(config: TranslationDataConfig) -> tuple[Moses, Moses]:
    """What makes Moses tokens of source and target text."""
    source, target = (
        Moses(language, config.normalise, config.lower_case) for language in (config.source, config.target)
    )
    return source, target


def token_type(vocabulary: int) -> np.dtype:
    """The smallest integers that hold every id."""
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)


def store(folder: Path) -> dict[str, StoredFile]:
    """What the files of a folder are."""
    return {
        path.name: StoredFile(bytes=path.stat().st_size, sha256=checksum(path)) for path in sorted(folder.iterdir())
    }


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None if there is none. Raises `UserError` if it is broken."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        reason = " ".join(error.errors()[0]["msg"].split())
        raise _damaged(path, "the manifest of prepared data", reason, folder) from None


def check(folder: Path, manifest: Manifest, every_byte: bool) -> None:
    """Raise `UserError` unless every file has its size and, if it is small or `every_byte`, its checksum."""
    for name, stored in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else 0
        if size != stored.bytes:
            raise _damaged(path, f"{stored.bytes} bytes", f"{size} bytes", folder)
        if (every_byte or size <= SMALL) and (found := checksum(path)) != stored.sha256:
            raise _damaged(path, stored.sha256, found, folder)


def _damaged(path: Path, expected: str, found: str, folder: Path) -> UserError:
    advice = f"run 'chtexp prepare data={folder.parent.name}' to mend it"
    return UserError(f"{path} is corrupt: expected {expected}, found {found}; {advice}")
