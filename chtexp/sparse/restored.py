"""Records of a checkpoint, in which they are plain values, as the dataclasses they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

Record = TypeVar("Record")


def restored(record: Callable[..., Record], values: Mapping[str, object]) -> Record:
    """Undo `dataclasses.asdict`.

    Args:
        record: the dataclass.
        values: its fields by name.

    Returns:
        The dataclass with these fields.
    """
    return record(**values)
