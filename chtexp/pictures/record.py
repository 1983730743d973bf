"""What is written down of images that were measured: the record, and the files as they were.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

Stamp = tuple[int, int]  # of a file: bytes, and when it was last written, in nanoseconds


class FileSeen(BaseModel):
    """A file as it was when it was read.

    Attributes:
        bytes: its size.
        written: when it was last written, in nanoseconds.
        sha256: of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    written: int
    sha256: str

    @property
    def stamp(self) -> Stamp:
        """Its size and time."""
        return self.bytes, self.written


class Record(BaseModel):
    """What was measured of images.

    Attributes:
        version: of this form.
        source: the kind of source.
        asked: how they were asked for.
        measured: when, as an ISO date.
        classes: their names, by label.
        train_counts, test_counts: images of each class.
        shape: channels, rows, columns.
        mean, std: of the training pixels of each channel, in [0, 1].
        fingerprint: of pixels, labels, split and order.
        split: how the test split came about, in words.
        notes: what else a person should know, in words.
        revision: of the data set, where its place keeps several.
        libraries: versions of those that decoded the images.
        listing: a hash of names, sizes and times of all files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    source: str
    asked: dict[str, JsonValue]
    measured: str
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    split: str
    notes: tuple[str, ...]
    revision: str | None
    libraries: dict[str, str]
    listing: str


def listing_of(stamps: Mapping[str, Stamp]) -> str:
    """Hash names, sizes and times of files."""
    return hashlib.sha256(json.dumps(sorted(stamps.items())).encode()).hexdigest()


def checksum(path: Path) -> str:
    """The SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
