"""A layer's products with a wide batch: eight links (forward) or four (backward) are processed at a time along the batch.

An accumulator is loaded and stored once for all of them. The compiler vectorises the loops over the batch. Arguments are as in
`kernels`.

Shapes: O outputs, I inputs, B batch, K links (by row; `order` leads there from the lists by column).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from chtexp.system.kernels_cache import njit

# Sums may be reordered and contracted, but NaN and infinity stay what they are: a divergence must show.
RELAXED = {"reassoc", "contract", "nsz", "arcp"}


@njit(fastmath=RELAXED)
def forward_rows(first, last, row_starts, columns, values, bias, input_IB, relu, output_OB):
    """Compute the output rows from `first` to before `last`."""
    batch = input_IB.shape[1]
    for o in range(first, last):
        total = output_OB[o]
        start = bias[o] if bias.shape[0] else np.float32(0)
        for b in range(batch):
            total[b] = start
        k = row_starts[o]
        end = row_starts[o + 1]
        while k + 8 <= end:
            w0 = values[k]
            w1 = values[k + 1]
            w2 = values[k + 2]
            w3 = values[k + 3]
            w4 = values[k + 4]
            w5 = values[k + 5]
            w6 = values[k + 6]
            w7 = values[k + 7]
            x0 = input_IB[columns[k]]
            x1 = input_IB[columns[k + 1]]
            x2 = input_IB[columns[k + 2]]
            x3 = input_IB[columns[k + 3]]
            x4 = input_IB[columns[k + 4]]
            x5 = input_IB[columns[k + 5]]
            x6 = input_IB[columns[k + 6]]
            x7 = input_IB[columns[k + 7]]
            for b in range(batch):
                total[b] += (
                    w0 * x0[b]
                    + w1 * x1[b]
                    + w2 * x2[b]
                    + w3 * x3[b]
                    + w4 * x4[b]
                    + w5 * x5[b]
                    + w6 * x6[b]
                    + w7 * x7[b]
                )
            k += 8
        while k < end:
            w0 = values[k]
            x0 = input_IB[columns[k]]
            for b in range(batch):
                total[b] += w0 * x0[b]
            k += 1
        if relu:
            for b in range(batch):
                total[b] = np.float32(0) if total[b] <= 0 else total[b]


@njit(fastmath=RELAXED)
def backward_columns(
    first,
    last,
    column_starts,
    rows,
    order,
    values,
    input_IB,
    relu,
    gradient_OB,
    values_gradient,
    to_input,
    input_gradient_IB,
    sums_I,
):
    """Compute the gradients of the links' values and, if they are wanted, of the input, for some rows of the input.

    Each gradient of the output is read once for both. Other arguments are as in `kernels`.

    Args:
        first: the first row of the input.
        last: the row after the last one.
        to_input: whether the gradients of the input are wanted.
    """
    batch = input_IB.shape[1]
    for i in range(first, last):
        x = input_IB[i]
        total = input_gradient_IB[i]
        if to_input:
            for b in range(batch):
                total[b] = 0
        k = column_starts[i]
        end = column_starts[i + 1]
        while k + 4 <= end:
            p0 = order[k]
            p1 = order[k + 1]
            p2 = order[k + 2]
            p3 = order[k + 3]
            w0 = values[p0]
            w1 = values[p1]
            w2 = values[p2]
            w3 = values[p3]
            g0 = gradient_OB[rows[k]]
            g1 = gradient_OB[rows[k + 1]]
            g2 = gradient_OB[rows[k + 2]]
            g3 = gradient_OB[rows[k + 3]]
            s0 = np.float32(0)
            s1 = np.float32(0)
            s2 = np.float32(0)
            s3 = np.float32(0)
            if to_input:
                for b in range(batch):
                    s0 += x[b] * g0[b]
                    s1 += x[b] * g1[b]
                    s2 += x[b] * g2[b]
                    s3 += x[b] * g3[b]
                    total[b] += w0 * g0[b] + w1 * g1[b] + w2 * g2[b] + w3 * g3[b]
            else:
                for b in range(batch):
                    s0 += x[b] * g0[b]
                    s1 += x[b] * g1[b]
                    s2 += x[b] * g2[b]
                    s3 += x[b] * g3[b]
            values_gradient[p0] = s0
            values_gradient[p1] = s1
            values_gradient[p2] = s2
            values_gradient[p3] = s3
            k += 4
        while k < end:
            p0 = order[k]
            w0 = values[p0]
            g0 = gradient_OB[rows[k]]
            s0 = np.float32(0)
            for b in range(batch):
                s0 += x[b] * g0[b]
                if to_input:
                    total[b] += w0 * g0[b]
            values_gradient[p0] = s0
            k += 1
        if to_input:
            if relu:
                for b in range(batch):
                    total[b] = np.float32(0) if x[b] <= 0 else total[b]
            s0 = np.float32(0)
            for b in range(batch):
                s0 += total[b]
            sums_I[i] = s0
