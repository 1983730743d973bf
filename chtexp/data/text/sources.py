"""What documents come from: files of this machine, or a split of a data set on the hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Protocol

from chtexp.config.typed import Description
from chtexp.data.text.hub import hub_revision, stream
from chtexp.data.text.raw import read_documents
from chtexp.data.text.watched import WatchedFile

TRAIN, VALIDATION = "train", "validation"


class Raw(Description):
    """What a source was when it was read.

    Attributes:
        split: that it was published as.
        bytes: of a file; None of a data set on the hub.
        checksum: "sha256:..." of a file; the revision of a data set on the hub.
    """

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
        """Its name in the manifest."""

    @property
    def raw(self) -> Raw:
        """What it is, and was when its documents were read."""

    def documents(self, first: int = 0) -> Iterator[str]:
        """The texts of its documents, from number `first` on."""


@dataclass(frozen=True)
class LocalFile:
    """A file of documents. Its documents and `raw` are of the same bytes.

    Attributes:
        name: below the data root, or absolute.
        path: where it lies.
        split: that it was published as.
        text_field, plain_text: see `TextDataConfig`.
    """

    name: str
    path: Path
    split: str
    text_field: str
    plain_text: str

    @property
    def raw(self) -> Raw:
        """Describe the file; it is read from end to end, once.

        Raises:
            UserError: the file changed.
        """
        return Raw(split=self.split, checksum=self._file.checksum, bytes=self.path.stat().st_size)

    def documents(self, first: int = 0) -> Iterator[str]:
        """Read its documents; those before number `first` are read and left out.

        Raises:
            UserError: the file changed, cannot be read, or holds a document without text.
        """
        file = self._file  # before it is opened
        yield from islice(read_documents(self.path, self.text_field, self.plain_text), first, None)
        file.check()

    @cached_property
    def _file(self) -> WatchedFile:
        return WatchedFile(self.path)


@dataclass(frozen=True)
class HubSplit:
    """A split of a data set on the hub.

    Attributes:
        hub, hub_config: the data set.
        split: of the data set.
        text_field: of a row.
        by_hand: the files that a person without a network puts in its place.
    """

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
        """Ask the hub, once, for the revision."""
        return Raw(split=self.split, bytes=None, checksum=hub_revision(self.hub, self.by_hand))

    def documents(self, first: int = 0) -> Iterator[str]:
        """Stream its documents of the revision that `raw` says, from number `first` on."""
        return stream(
            self.hub, self.hub_config, self.split, self.raw.checksum, self.text_field, self.by_hand, first=first
        )
