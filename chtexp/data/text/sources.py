"""What documents come from: files of this machine, or a split of a data set on the hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Protocol

from chtexp.data.text.hub import hub_revision, stream
from chtexp.data.text.raw import read_documents
from chtexp.data.text.watched import WatchedFile
from chtexp.typed import Description

TRAIN, VALIDATION = "train", "validation"


class Raw(Description):
    """What a source was when it was read: bytes and "sha256:..." of a file, None and the revision of a data set on the hub."""

    split: str
    bytes: int | None
    checksum: str


class Source(Protocol):
    """Documents in a fixed order."""

    @property
    def split(self) -> str:
        """The split that it was published as."""

    @property
    def name(self) -> str:
        """As it stands in the manifest."""

    @property
    def raw(self) -> Raw:
        """What it is, and was when its documents were read."""

    def documents(self, first: int = 0) -> Iterator[str]:
        """Their texts, from number `first` on."""


@dataclass(frozen=True)
class LocalFile:
    """name: below the data root, or absolute. Its documents and `raw` are of the same bytes, or `UserError` is raised."""

    name: str
    path: Path
    split: str
    text_field: str
    plain_text: str

    @property
    def raw(self) -> Raw:
        """Read from end to end, once."""
        return Raw(split=self.split, checksum=self._file.checksum, bytes=self.path.stat().st_size)

    def documents(self, first: int = 0) -> Iterator[str]:
        """Those before `first` are read and left out."""
        file = self._file  # before it is opened
        yield from islice(read_documents(self.path, self.text_field, self.plain_text), first, None)
        file.check()

    @cached_property
    def _file(self) -> WatchedFile:
        return WatchedFile(self.path)


@dataclass(frozen=True)
class HubSplit:
    """by_hand: the files that a person without a network puts in its place."""

    hub: str
    hub_config: str | None
    split: str
    text_field: str
    by_hand: str

    @property
    def name(self) -> str:
        """The data set, its configuration and its split."""
        return ":".join(part for part in (self.hub, self.hub_config, self.split) if part)

    @cached_property
    def raw(self) -> Raw:
        """Asks the hub, once."""
        return Raw(split=self.split, bytes=None, checksum=hub_revision(self.hub, self.by_hand))

    def documents(self, first: int = 0) -> Iterator[str]:
        """Of the revision that `raw` says."""
        return stream(
            self.hub, self.hub_config, self.split, self.raw.checksum, self.text_field, self.by_hand, first=first
        )
