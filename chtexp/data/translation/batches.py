"""Batches of about as many tokens each, of sentences of about the same length.

Pairs are sorted by the length of their longer side and cut where a batch is full. Pairs of the same length are
interchangeable, so the cut is the same in every epoch; which of them meet, and the order of the batches, is drawn anew. Every
batch of any epoch is therefore known without those before it.

Shapes: N pairs, M batches of an epoch, B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from chtexp.errors import UserError
from chtexp.randomness import generator


class TokenBatches:
    """Training batches, a function of the seed alone.

    Args:
        source_lengths: [N], in tokens.
        target_lengths: [N], in tokens.
        tokens: the most that pairs x longest sentence of the batch, on either side, may be, padding included [choice: as OpenNMT
            counts].
        seed: decides the order.

    Raises:
        UserError: a pair that is longer than that.
    """

    def __init__(self, source_lengths: np.ndarray, target_lengths: np.ndarray, tokens: int, seed: int) -> None:
        self._lengths = np.maximum(source_lengths, target_lengths)
        self._edges = _cut(np.sort(self._lengths), tokens)
        self._seed = seed

    @property
    def batches_per_epoch(self) -> int:
        """M, the same in every epoch."""
        return len(self._edges) - 1

    def iterate(self, first_batch: int = 0) -> Iterator[np.ndarray]:
        """Iterate over batches without end; each pair comes once an epoch.

        Args:
            first_batch: the number of the first one.

        Yields:
            Pair indices, int64 [B].
        """
        epoch, position = divmod(first_batch, self.batches_per_epoch)
        while True:
            yield from self._epoch(epoch)[position:]
            epoch, position = epoch + 1, 0

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        """The M batches of an epoch, in order."""
        shuffled = torch.randperm(len(self._lengths), generator=generator(self._seed, "order", epoch)).numpy()
        order = shuffled[_by_length(self._lengths[shuffled])]
        batches = torch.randperm(self.batches_per_epoch, generator=generator(self._seed, "batches", epoch)).numpy()
        return [order[self._edges[one] : self._edges[one + 1]] for one in batches]


def length_batches(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Batches for evaluation, shortest first.

    Args:
        lengths: [N], in tokens.
        tokens: B x longest of a batch, at the most.

    Returns:
        Indices of sentences, int64 [B] each.

    Raises:
        UserError: a sentence longer than `tokens`.
    """
    order = _by_length(lengths)
    edges = _cut(lengths[order], tokens)
    return [order[start:end] for start, end in pairwise(edges)]


def _by_length(lengths: np.ndarray) -> np.ndarray:
    """The order from short to long; equals stay as they are. Small integers are sorted in linear time."""
    longest = int(lengths.max(initial=0))
    return np.argsort(lengths.astype(np.uint16) if longest < 1 << 16 else lengths, kind="stable")


def _cut(lengths: np.ndarray, tokens: int) -> np.ndarray:
    """Where batches begin and end in ascending `lengths` [N]: int64 [M + 1], each batch as long as `tokens` allows."""
    if len(lengths) and lengths[-1] > tokens:
        raise UserError(
            f"a sentence of {lengths[-1]} tokens fits no batch of {tokens} tokens; "
            f"take batches of at least {lengths[-1]}, or drop long pairs with data.most_tokens"
        )
    edges = [0]
    while (start := edges[-1]) < len(lengths):
        window = lengths[start : start + tokens // int(lengths[start])]
        filled = np.arange(1, len(window) + 1) * window  # ascending
        edges.append(start + int(np.searchsorted(filled, tokens, side="right")))
    return np.array(edges, dtype=np.int64)
