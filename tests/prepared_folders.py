"""Folders of prepared data: what is in them, two ways of damaging it, and what is said of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chtexp.errors import UserError


def quiet(_: str) -> None:
    """A log that nobody reads."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def error_of(call: Callable[..., object], *arguments: object, **options: object) -> str:
    """The one line that `call` is refused with."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def documents_of(data, split: str) -> list[str]:
    """The texts of a split, decoded from its tokens."""
    stream = getattr(data, split)
    tokens_T = np.concatenate(stream._shards)
    *texts, rest = data.tokenizer.decode(tokens_T).split(data.tokenizer.end_token)
    assert rest == ""
    return texts
