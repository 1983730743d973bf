"""How far a preparation has come, written whenever a shard is whole: killed, it goes on from there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from chtexp.data.text.documents import Document
from chtexp.data.text.sources import TRAIN, VALIDATION
from chtexp.typed import Description

PROGRESS = "progress.json"


class Progress(Description):
    """source, read: the place of the source that is being read, and how many of its documents were.

    documents: how many of every split, those of neither split included. tokens: of every split. characters: that were read.
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
        """With a batch more, `tokens` now being written."""
        documents = Counter(self.documents) + Counter(document.split for document in batch)
        return Progress(
            source=batch[-1].source,
            read=batch[-1].number,
            documents=dict(sorted(documents.items())),
            tokens=dict(tokens),
            characters=self.characters + sum(len(document.text) for document in batch),
        )


class Checkpoint(Description):
    """progress, and what it depends on: the `opened` first sources, and the tokenizer, by their checksums."""

    progress: Progress
    opened: int
    made_of: dict[str, str]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """In one step: who is killed here leaves the last one."""
    draft = folder / f"{PROGRESS}.draft"
    with draft.open("w", encoding="utf-8") as file:
        file.write(checkpoint.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / PROGRESS)


def saved(folder: Path) -> Checkpoint | None:
    """What `save` left; None if there is none, or it is broken."""
    try:
        return Checkpoint.model_validate_json((folder / PROGRESS).read_bytes())
    except (OSError, ValidationError):
        return None


def forget(folder: Path) -> None:
    """All is done."""
    for path in folder.glob(f"{PROGRESS}*"):
        path.unlink()
