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
        """The number of tokens of the split."""

    def sequences(self, length: int) -> int:
        """The number of sequences of length L."""

    def take(self, indices_B: Sequence[int] | np.ndarray | Tensor, length: int) -> Tensor:
        """Read sequences.

        Args:
            indices_B: int64 [B], which ones.
            length: L.

        Returns:
            int64 [B, L + 1]; `[:, :-1]` are inputs, `[:, 1:]` targets.
        """

    def targets(self, indices_B: Sequence[int] | np.ndarray, length: int) -> int:
        """Count the tokens that the sequences `indices_B` of length L predict, padding left out."""

    def rest(self, length: int) -> Tensor:
        """What the sequences leave over, as one that is shorter: int64 [1, R + 1], or [1, 0]."""


class TokenStream:
    """The first T tokens of a split, in files one after the other.

    Args:
        shards: unsigned integers [T_s] each.
        most: T is at most so many; None: all.
    """

    def __init__(self, shards: Sequence[np.ndarray], most: int | None = None) -> None:
        self._shards = list(shards)
        self._starts = np.cumsum([0, *map(len, self._shards)])  # the first token of every shard, and the end
        whole = int(self._starts[-1])
        self._tokens = whole if most is None else min(whole, most)

    def __len__(self) -> int:
        return self._tokens

    def sequences(self, length: int) -> int:
        """The number of whole sequences of length L."""
        return max(len(self) - 1, 0) // length

    def take(self, indices_B: Sequence[int] | np.ndarray | Tensor, length: int) -> Tensor:
        """Read sequences.

        Args:
            indices_B: int64 [B], which ones.
            length: L.

        Returns:
            int64 [B, L + 1]; `[:, :-1]` are inputs, `[:, 1:]` targets.

        Raises:
            IndexError: an index that is not in 0..sequences(length)-1.
        """
        first_B = np.asarray(indices_B, dtype=np.int64)
        if ((first_B < 0) | (first_B >= self.sequences(length))).any():
            raise IndexError(f"sequences {first_B.min()}..{first_B.max()} of {self.sequences(length)}")
        return torch.from_numpy(self.at(first_B[:, None] * length + np.arange(length + 1)))

    def targets(self, indices_B: Sequence[int] | np.ndarray, length: int) -> int:
        """Count the tokens that the sequences `indices_B` of length L predict."""
        return len(indices_B) * length

    def rest(self, length: int) -> Tensor:
        """What the whole sequences leave over, as one that is shorter: int64 [1, R + 1] of R < L targets; none where R is 0."""
        return torch.from_numpy(self.at(np.arange(self.sequences(length) * length, len(self))[None]))

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Read the tokens at places of the stream: int64 of the same shape."""
        tokens = np.empty(positions.shape, dtype=np.int64)
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        for shard in np.unique(shards):
            here = shards == shard
            tokens[here] = self._shards[shard][positions[here] - self._starts[shard]]
        return tokens


@dataclass(frozen=True, eq=False)
class TextData:
    """A prepared corpus.

    Attributes:
        train, validation: the sequences of each split.
        tokenizer: of its text.
        source: where it came from, in words.
        deviations: in what it is not the paper's.
    """

    train: Sequences
    validation: Sequences
    tokenizer: TextTokenizer
    source: str
    deviations: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> int:
        """The number of ids: they are 0..vocabulary-1."""
        return self.tokenizer.vocabulary

    @property
    def end_of_text(self) -> int:
        """The id that ends every document."""
        return self.tokenizer.end_of_text
