"""A layer's product with one row, e.g. one image: along the links, of which there are many, and not along the batch.

Arguments are as in `kernels`.

Shapes: O outputs, I inputs, K links by row.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from chtexp.sparse.cpu.wide import RELAXED
from chtexp.system.kernels_cache import njit


@njit(fastmath=RELAXED)
def forward_rows(first, last, row_starts, columns, values, bias, input_IB, relu, output_OB):
    """Compute the output rows from `first` to before `last`; B is 1."""
    for o in range(first, last):
        k = row_starts[o]
        end = row_starts[o + 1]
        even = bias[o] if bias.shape[0] else np.float32(0)
        odd = np.float32(0)
        third = np.float32(0)
        fourth = np.float32(0)
        while k + 4 <= end:  # four sums, so that none waits for the one before
            even += values[k] * input_IB[columns[k], 0]
            odd += values[k + 1] * input_IB[columns[k + 1], 0]
            third += values[k + 2] * input_IB[columns[k + 2], 0]
            fourth += values[k + 3] * input_IB[columns[k + 3], 0]
            k += 4
        while k < end:
            even += values[k] * input_IB[columns[k], 0]
            k += 1
        total = (even + odd) + (third + fourth)
        output_OB[o, 0] = np.float32(0) if relu and total <= 0 else total
