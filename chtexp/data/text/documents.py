"""The documents of a corpus in order, each with the split that it belongs to.

A document is known by a hash of its text: equal documents are in the same split, whatever their order, and no training document
is a validation document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from chtexp.config.text import TextDataConfig
from chtexp.data.text.sources import TRAIN, VALIDATION, Source
from chtexp.data.text.tokenizer import given_file
from chtexp.data.text.watched import WatchedFile

EMPTY, HELD_OUT = "empty", "held out"  # why a document is in neither split
DIGEST = 8  # bytes: two different documents of a billion agree with probability 0.03, and one is left out


class Document(NamedTuple):
    """A document of a corpus.

    Attributes:
        source: its place in the list of sources.
        number: among the documents of that source, from 1 on.
        split: that it belongs to, or why it belongs to none.
        text: of the document.
    """

    source: int
    number: int
    split: str
    text: str


class Corpus:
    """The documents of a corpus, read as they are needed.

    Args:
        config: of the corpus.
        sources: as `find_sources` gives them.
        root: of the data.

    Attributes:
        opened: how many sources, from the first on, documents were asked of.
        given: the file of a given tokenizer; None if it is learnt or on the hub.
    """

    def __init__(self, config: TextDataConfig, sources: list[Source], root: Path | None = None) -> None:
        self.config, self.sources, self.root = config, sources, root
        file = given_file(config, root)
        self.given = None if file is None else WatchedFile(file)
        self.opened = 0

    def documents(self, source: int = 0, read: int = 0, taken: int = 0) -> Iterator[Document]:
        """Read all documents up to the last training document that is taken.

        Args:
            source: the number of the source to start in.
            read: its documents that are passed over.
            taken: training documents among all that are passed over, those of earlier sources included.
        """
        for place, one in enumerate(self.sources[source:], source):
            if taken == self.config.documents:
                return
            self.opened = max(self.opened, place + 1)
            number = read if place == source else 0
            for text in one.documents(number):
                number += 1
                document = Document(place, number, self._split(one, text), text)
                yield document
                taken += document.split == TRAIN
                if taken == self.config.documents:
                    return

    def training_texts(self, most: int | None) -> Iterator[str]:
        """The texts of the first `most` training documents; None: of all."""
        first = next(place for place, one in enumerate(self.sources) if one.split == TRAIN)
        return islice((one.text for one in self.documents(first) if one.split == TRAIN), most)

    def _split(self, source: Source, text: str) -> str:
        if not text.strip():
            return EMPTY
        if source.split == VALIDATION:
            return VALIDATION
        digest = _digest(text)
        if digest in self._validation:
            return HELD_OUT
        return VALIDATION if digest < (self.config.validation_share or 0) * 256**DIGEST else TRAIN

    @cached_property
    def _validation(self) -> set[int]:
        """The hashes of all documents of validation files."""
        return {_digest(text) for one in self.sources if one.split == VALIDATION for text in one.documents()}


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=DIGEST).digest(), "big")


def batched(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Group documents until a group has so many characters."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
