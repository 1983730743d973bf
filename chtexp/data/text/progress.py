"""How far a preparation has come, written whenever a shard is whole: killed, it goes on from there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from chtexp.config.typed import Description
from chtexp.data.text.documents import Document
from chtexp.data.text.sources import TRAIN, VALIDATION

PROGRESS = "progress.json"


class Progress(Description):
    """How far a preparation has come.

    Attributes:
        source: the place of the source that is being read.
        read: its documents so far.
        documents: how many of every split, those of neither split included.
        tokens: how many of every split.
        characters: how many were read.
    """

    source: int = 0
    read: int = 0
    documents: dict[str, int] = Field(default_factory=dict)
    tokens: dict[str, int] = Field(default_factory=lambda: {TRAIN: 0, VALIDATION: 0})
    characters: int = 0

    @property
    def taken(self) -> int:
        """Training documents so far."""
        return self.documents.get(TRAIN, 0)

    def after(self, batch: list[Document], tokens: Mapping[str, int]) -> Progress:
        """The progress after one more batch.

        Args:
            batch: of documents.
            tokens: of every split, with the batch.
        """
        documents = Counter(self.documents) + Counter(document.split for document in batch)
        return Progress(
            source=batch[-1].source,
            read=batch[-1].number,
            documents=dict(sorted(documents.items())),
            tokens=dict(tokens),
            characters=self.characters + sum(len(document.text) for document in batch),
        )


class Checkpoint(Description):
    """A progress, and what it depends on.

    Attributes:
        progress: how far it has come.
        opened: the first so many sources were read.
        made_of: checksums of these sources and of the tokenizer, by name.
    """

    progress: Progress
    opened: int
    made_of: dict[str, str]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step: a process that is killed here leaves the last one."""
    draft = folder / f"{PROGRESS}.draft"
    with draft.open("w", encoding="utf-8") as file:
        file.write(checkpoint.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / PROGRESS)


def saved(folder: Path) -> Checkpoint | None:
    """Read what `save` left; None if there is none, or it is broken."""
    try:
        return Checkpoint.model_validate_json((folder / PROGRESS).read_bytes())
    except (OSError, ValidationError):
        return None


def forget(folder: Path) -> None:
    """Remove the checkpoint, once all is done."""
    for path in folder.glob(f"{PROGRESS}*"):
        path.unlink()
