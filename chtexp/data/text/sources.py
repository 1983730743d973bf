"""Where the documents of a corpus are: files of this machine, or a split of a data set on the hub, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Protocol

from chtexp.data.text.config import TextDataConfig
from chtexp.data.text.hub import hub_revision, stream
from chtexp.data.text.raw import read_documents
from chtexp.data.text.watched import WatchedFile
from chtexp.errors import UserError
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


def find_sources(config: TextDataConfig, root: Path | None) -> list[Source]:
    """The validation files and then the training files, or the splits on the hub where none match.

    Raises `UserError` for patterns that match nothing where there is no hub, and for a file of both splits.
    """
    sources: list[Source] = []
    for split, patterns in ((VALIDATION, config.validation), (TRAIN, config.train)):
        lacking = [pattern for pattern in patterns if not _matching(pattern, root)]
        if not lacking:
            sources += find_files(config, split, root)
        elif config.hub is None:
            raise UserError(
                f"{config.title}: no file matches {_placed(lacking, root)}; see data.{split} and paths.data"
            )
        else:
            sources.append(
                HubSplit(config.hub, config.hub_config, split, config.text_field, by_hand=_placed(patterns, root))
            )
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{config.title}: {twice[0]} is both a training and a validation file; take it out of one")
    return sources


def find_files(config: TextDataConfig, split: str, root: Path | None) -> list[LocalFile]:
    """The files of a split that are there, each once."""
    patterns = config.validation if split == VALIDATION else config.train
    names = dict.fromkeys(name for pattern in patterns for name in _matching(pattern, root))
    return [LocalFile(name, (root or Path()) / name, split, config.text_field, config.plain_text) for name in names]


def _matching(pattern: str, root: Path | None) -> list[str]:
    """Files by name, relative to the data root if the pattern is; none of a relative pattern without a root."""
    path = Path(pattern).expanduser()
    if root is None and not path.is_absolute():
        return []
    names = sorted(glob(str(path), root_dir=root, recursive=True))
    return [name for name in names if ((root or Path()) / name).is_file()]


def _placed(patterns: list[str] | tuple[str, ...], root: Path | None) -> str:
    """Patterns with their folder, for a person."""
    return ", ".join(str((root or Path("<paths.data>")) / Path(pattern).expanduser()) for pattern in patterns)
