"""Tokens as one flat stream, mapped from disk, and the packed sequences in it.

Sequence n of length L is the tokens n L .. n L + L, the last of which is the first of the next sequence: inputs are all but the
last, targets all but the first, and every token but the stream's first is predicted once.

Shapes: T tokens of the stream, B batch, L length of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chtexp.data.text.tokenizer import TextTokenizer


class TokenStream:
    """The T tokens of a split, in files one after the other.

    shards: unsigned integers [T_s] each.
    """

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = list(shards)
        self._starts = np.cumsum([0, *map(len, self._shards)])  # the first token of every shard, and the end

    def __len__(self) -> int:
        return int(self._starts[-1])

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
        return self._at(first_B[:, None] * length + np.arange(length + 1))

    def rest(self, length: int) -> Tensor:
        """What the whole sequences leave over, as one that is shorter: int64 [1, R + 1] of R < L targets; none where R is 0."""
        return self._at(np.arange(self.sequences(length) * length, len(self))[None])

    def _at(self, positions_BL: np.ndarray) -> Tensor:
        tokens_BL = np.empty(positions_BL.shape, dtype=np.int64)
        shard_BL = np.searchsorted(self._starts, positions_BL, side="right") - 1
        for shard in np.unique(shard_BL):
            here_BL = shard_BL == shard
            tokens_BL[here_BL] = self._shards[shard][positions_BL[here_BL] - self._starts[shard]]
        return torch.from_numpy(tokens_BL)


@dataclass(frozen=True, eq=False)
class TextData:
    """A prepared corpus. `source` says in words where it came from."""

    train: TokenStream
    validation: TokenStream
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
