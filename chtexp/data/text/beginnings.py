"""The beginnings of documents: of each its first tokens, as the paper's released code takes them.

Sequence n of length L is the first L + 1 tokens of document n: L inputs, and L targets, the last of which is the document's end
where it is no longer than that. What a document has beyond them is not used; a shorter one is filled up with PADDING. No
attention mask is needed: attention is causal and padding stands behind the text, so no token of the text sees any, and what
padded places predict is left out of every loss.

Source: the paper's released code (arXiv:2501.19107) truncates and pads every document to 256 tokens. [choice] It lets these
predict 255 and ends a truncated document with the end-of-text token, too; here 256 tokens are predicted, as in a packed stream,
and a truncated document just stops.

Shapes: N documents, B batch, L length of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chtexp.data.text.stream import TokenStream

PADDING = -100  # no token: the target that `cross_entropy` leaves out


class Beginnings:
    """The beginnings of the N documents of a stream.

    Args:
        stream: of their tokens.
        ends: int64 [N], the place behind the last token of every document.
    """

    def __init__(self, stream: TokenStream, ends: np.ndarray) -> None:
        self._stream, self._ends = stream, ends

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def sequences(self, length: int) -> int:
        """N, whatever the length."""
        return len(self._ends)

    def first(self, targets: int, length: int) -> Beginnings:
        """The first documents, as many as predict no more than a number of tokens together.

        Args:
            targets: tokens.
            length: L.
        """
        together_N = np.cumsum(self._targets_each(np.arange(len(self._ends)), length))
        return Beginnings(self._stream, self._ends[: np.searchsorted(together_N, targets, side="right")])

    def take(self, indices_B: Sequence[int] | np.ndarray | Tensor, length: int) -> Tensor:
        """Read the beginnings of documents.

        Args:
            indices_B: int64 [B], which documents.
            length: L.

        Returns:
            int64 [B, L + 1], PADDING behind them.

        Raises:
            IndexError: there is no such document.
        """
        start_B, size_B = self._spans(np.asarray(indices_B, dtype=np.int64))
        place_L = np.arange(length + 1)
        here_BL = place_L < size_B[:, None]
        tokens_BL = np.full(here_BL.shape, PADDING, dtype=np.int64)
        tokens_BL[here_BL] = self._stream.at((start_B[:, None] + place_L)[here_BL])
        return torch.from_numpy(tokens_BL)

    def targets(self, indices_B: Sequence[int] | np.ndarray, length: int) -> int:
        """Count the tokens that documents predict: all of a beginning but its first.

        Args:
            indices_B: int64 [B], which documents.
            length: L.
        """
        return int(self._targets_each(np.asarray(indices_B, dtype=np.int64), length).sum())

    def rest(self, length: int) -> Tensor:
        """What the sequences leave over: nothing, int64 [1, 0]."""
        return torch.empty(1, 0, dtype=torch.int64)

    def _targets_each(self, index_B: np.ndarray, length: int) -> np.ndarray:
        _, size_B = self._spans(index_B)
        targets_B: np.ndarray = np.minimum(size_B - 1, length)
        return targets_B

    def _spans(self, index_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where these documents begin, and how many tokens they have, each int64 [B]."""
        if ((index_B < 0) | (index_B >= len(self._ends))).any():
            raise IndexError(f"documents {index_B.min()}..{index_B.max()} of {len(self._ends)}")
        start_B = np.where(index_B > 0, self._ends[np.maximum(index_B, 1) - 1], 0)
        return start_B, self._ends[index_B] - start_B
