"""Tokens as one flat stream, mapped from disk, and the packed sequences in it.

Sequence n of length L is the tokens n L .. n L + L, the last of which is the first of the next sequence: inputs are all but the
last, targets all but the first, and every token but the stream's first is predicted once.

Shapes: T tokens of the stream, B batch, L length of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from chtexp.data.text.tokenizer import TextTokenizer


class Sequences(Protocol):
    """The sequences that a split is trained or evaluated on.

    Where a sequence is shorter than the others, its last places hold PADDING (chtexp/data/text/beginnings.py).
    """

    def __len__(self) -> int:
        """Tokens of the split."""

    def sequences(self, length: int) -> int:
        """How many there are."""

    def take(self, indices_B: Sequence[int] | np.ndarray | Tensor, length: int) -> Tensor:
        """Those of `indices_B`, int64 [B, L + 1]; `[:, :-1]` are inputs, `[:, 1:]` targets."""

    def targets(self, indices_B: Sequence[int] | np.ndarray, length: int) -> int:
        """How many tokens these sequences predict, padding left out."""

    def rest(self, length: int) -> Tensor:
        """What they leave over, as one that is shorter: int64 [1, R + 1], or [1, 0]."""


class TokenStream:
    """The first T tokens of a split, in files one after the other.

    shards: unsigned integers [T_s] each. most: T is at most so many; None: all.
    """

    def __init__(self, shards: Sequence[np.ndarray], most: int | None = None) -> None:
        self._shards = list(shards)
        self._starts = np.cumsum([0, *map(len, self._shards)])  # the first token of every shard, and the end
        whole = int(self._starts[-1])
        self._tokens = whole if most is None else min(whole, most)

    def __len__(self) -> int:
        return self._tokens

    def sequences(self, length: int) -> int:
        """How many whole sequences there are."""
        return max(len(self) - 1, 0) // length

    def take(self, indices_B: Sequence[int] | np.ndarray | Tensor, length: int) -> Tensor:
        """The sequences `indices_B`, int64 [B, L + 1]; `[:, :-1]` are inputs, `[:, 1:]` targets.

        Raises `IndexError` for an index that is not in 0..sequences(length)-1.
        """
        first_B = np.asarray(indices_B, dtype=np.int64)
        if ((first_B < 0) | (first_B >= self.sequences(length))).any():
            raise IndexError(f"sequences {first_B.min()}..{first_B.max()} of {self.sequences(length)}")
        return torch.from_numpy(self.at(first_B[:, None] * length + np.arange(length + 1)))

    def targets(self, indices_B: Sequence[int] | np.ndarray, length: int) -> int:
        """How many tokens these sequences predict."""
        return len(indices_B) * length

    def rest(self, length: int) -> Tensor:
        """What the whole sequences leave over, as one that is shorter: int64 [1, R + 1] of R < L targets; none where R is 0."""
        return torch.from_numpy(self.at(np.arange(self.sequences(length) * length, len(self))[None]))

    def at(self, positions: np.ndarray) -> np.ndarray:
        """The tokens at these places of the stream, int64 of the same shape."""
        tokens = np.empty(positions.shape, dtype=np.int64)
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        for shard in np.unique(shards):
            here = shards == shard
            tokens[here] = self._shards[shard][positions[here] - self._starts[shard]]
        return tokens


@dataclass(frozen=True, eq=False)
class TextData:
    """A prepared corpus. `source` says in words where it came from."""

    train: Sequences
    validation: Sequences
    tokenizer: TextTokenizer
    source: str

    @property
    def vocabulary(self) -> int:
        """Ids are 0..vocabulary-1."""
        return self.tokenizer.vocabulary

    @property
    def end_of_text(self) -> int:
        """The id that ends every document."""
        return self.tokenizer.end_of_text
