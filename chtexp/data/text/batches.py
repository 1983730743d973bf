"""Batches of packed sequences, in an order that is drawn anew for every epoch.

Every batch of every epoch is known without those before it.

Shapes: N sequences, M batches of an epoch, B sequences of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from chtexp.errors import UserError
from chtexp.randomness import generator


class SequenceBatches:
    """Training batches, a function of the seed alone.

    What is left when N is no multiple of B is left out of an epoch [choice: every batch is of the same size; others are left out
    of the next].

    Args:
        sequences: N.
        batch_sequences: B.
        seed: decides the order.

    Raises:
        UserError: there are fewer sequences than a batch has.
    """

    def __init__(self, sequences: int, batch_sequences: int, seed: int) -> None:
        if batch_sequences > sequences:
            raise UserError(
                f"there are {sequences} training sequences, fewer than a batch of {batch_sequences}; "
                "take a smaller batch, shorter sequences, or more text"
            )
        self._sequences, self._size, self._seed = sequences, batch_sequences, seed

    @property
    def batches_per_epoch(self) -> int:
        """M, the same in every epoch."""
        return self._sequences // self._size

    def iterate(self, first_batch: int = 0) -> Iterator[np.ndarray]:
        """Iterate over batches without end; a sequence comes at most once an epoch.

        Of an epoch's order one array is in memory, 8 bytes a sequence.

        Args:
            first_batch: the number of the first one.

        Yields:
            Sequence indices, int64 [B].
        """
        epoch, position = divmod(first_batch, self.batches_per_epoch)
        while True:
            yield from self._epoch(epoch, position)
            epoch, position = epoch + 1, 0

    def _epoch(self, epoch: int, position: int) -> Iterator[np.ndarray]:
        """The batches of an epoch, from number `position` on."""
        order = torch.randperm(self._sequences, generator=generator(self._seed, "order", epoch)).numpy()
        for batch in range(position, self.batches_per_epoch):
            yield order[batch * self._size : (batch + 1) * self._size].copy()  # holds no epoch in memory
