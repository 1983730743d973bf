"""Sentence pairs as numbers, one flat list of tokens a side, mapped from disk.

Shapes: N pairs, B batch, S source tokens, T target tokens of the longest sentence of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from chtexp.data.translation.units import PAD
from chtexp.data.translation.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Sentences:
    """One side of N pairs: sentence n is `tokens[starts[n] : starts[n + 1]]`, the end of sentence included.

    Attributes:
        tokens: uint16 or uint32 [all tokens].
        starts: int64 [N + 1].
    """

    tokens: np.ndarray
    starts: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """The tokens of each sentence, int64 [N]."""
        return np.diff(self.starts)

    def padded(self, indices: np.ndarray) -> Tensor:
        """Read sentences, each filled up at the end.

        Args:
            indices: [B], which ones.

        Returns:
            int64 [B, T].
        """
        starts, lengths = self.starts[indices], self.lengths[indices]
        place_T = np.arange(lengths.max(initial=0))
        present_BT = place_T < lengths[:, None]
        padded_BT = np.full(present_BT.shape, PAD, dtype=np.int64)
        padded_BT[present_BT] = self.tokens[(starts[:, None] + place_T)[present_BT]]
        return torch.from_numpy(padded_BT)


@dataclass(frozen=True, eq=False)
class Pairs:
    """N sentences and their translations. The texts are empty for training pairs.

    Attributes:
        source, target: as tokens.
        source_text, target_text: the raw lines.
        target_pipeline: the references as Moses tokens, as the paper's pipeline scores them.
    """

    source: Sentences
    target: Sentences
    source_text: list[str] = field(default_factory=list)
    target_text: list[str] = field(default_factory=list)
    target_pipeline: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source.starts) - 1

    @property
    def source_lengths(self) -> np.ndarray:
        """The tokens of each source sentence, the end of sentence included: int64 [N]."""
        return self.source.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """The tokens of each target sentence, the end of sentence included: int64 [N]."""
        return self.target.lengths

    def padded(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read pairs; every sentence ends with `eos_id`, then `pad_id`.

        Args:
            indices: [B], which ones.

        Returns:
            int64 [B, S] and [B, T].
        """
        chosen = np.asarray(indices)
        return self.source.padded(chosen), self.target.padded(chosen)

    def subset(self, pairs: int) -> Pairs:
        """The first `pairs` of them, or all if there are fewer."""
        return Pairs(
            source=Sentences(self.source.tokens, self.source.starts[: pairs + 1]),
            target=Sentences(self.target.tokens, self.target.starts[: pairs + 1]),
            source_text=self.source_text[:pairs],
            target_text=self.target_text[:pairs],
            target_pipeline=self.target_pipeline[:pairs],
        )


@dataclass(frozen=True, eq=False)
class TranslationData:
    """A prepared data set.

    Attributes:
        train, validation, test: the pairs of each split.
        vocabulary: of both languages.
        source: where it came from, in words.
        deviations: in what it is not the paper's.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    vocabulary: Vocabulary
    source: str
    deviations: tuple[str, ...] = ()
