"""Compiled products with the links of a layer, on feature-major activations.

Every row of an activation holds one neuron's values over the batch, so that a link is one multiply-add of two contiguous
rows. Each thread owns whole rows of what it writes: results do not depend on the number of threads.
Links are taken eight (forward) or four (backward) at a time: an accumulator is loaded and stored once for all of them.
1568 x 1568 at 1%, batch 32, one core: 3.2 and 4.4 ns a link so, 4.6 and 8.0 one or four at a time with signed indices.

Shapes: O outputs, I inputs, B batch, K links (by row; `order` leads there from the lists by column).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit, prange

SERIAL_BELOW = 1 << 18  # multiply-adds of a product: below, waking threads costs more than they save
# Sums may be reordered and contracted, but NaN and infinity stay what they are: a divergence must show.
RELAXED = {"reassoc", "contract", "nsz", "arcp"}


@njit(fastmath=RELAXED, cache=True)
def _forward_rows(first, last, row_starts, columns, values, bias, input_IB, relu, output_OB):
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


@njit(fastmath=RELAXED, cache=True)
def _backward_columns(
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
    input_gradient_IB,
    sums_I,
):
    batch = input_IB.shape[1]
    for i in range(first, last):
        x = input_IB[i]
        total = input_gradient_IB[i]
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
            for b in range(batch):
                s0 += x[b] * g0[b]
                s1 += x[b] * g1[b]
                s2 += x[b] * g2[b]
                s3 += x[b] * g3[b]
                total[b] += w0 * g0[b] + w1 * g1[b] + w2 * g2[b] + w3 * g3[b]
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
                total[b] += w0 * g0[b]
            values_gradient[p0] = s0
            k += 1
        if relu:
            for b in range(batch):
                total[b] = np.float32(0) if x[b] <= 0 else total[b]
        s0 = np.float32(0)
        for b in range(batch):
            s0 += total[b]
        sums_I[i] = s0


@njit(fastmath=RELAXED, cache=True)
def _gradient_columns(first, last, column_starts, rows, order, input_IB, gradient_OB, values_gradient):
    batch = input_IB.shape[1]
    for i in range(first, last):
        x = input_IB[i]
        k = column_starts[i]
        end = column_starts[i + 1]
        while k + 4 <= end:
            g0 = gradient_OB[rows[k]]
            g1 = gradient_OB[rows[k + 1]]
            g2 = gradient_OB[rows[k + 2]]
            g3 = gradient_OB[rows[k + 3]]
            s0 = np.float32(0)
            s1 = np.float32(0)
            s2 = np.float32(0)
            s3 = np.float32(0)
            for b in range(batch):
                s0 += x[b] * g0[b]
                s1 += x[b] * g1[b]
                s2 += x[b] * g2[b]
                s3 += x[b] * g3[b]
            values_gradient[order[k]] = s0
            values_gradient[order[k + 1]] = s1
            values_gradient[order[k + 2]] = s2
            values_gradient[order[k + 3]] = s3
            k += 4
        while k < end:
            g0 = gradient_OB[rows[k]]
            s0 = np.float32(0)
            for b in range(batch):
                s0 += x[b] * g0[b]
            values_gradient[order[k]] = s0
            k += 1


@njit(cache=True)
def _bound(starts, share, shares):
    """The first line of a share: lines are cut so that every share has about as many links."""
    if share == shares:
        return starts.shape[0] - 1
    return np.searchsorted(starts, np.uint32(np.int64(starts[-1]) * share // shares))


@njit(fastmath=RELAXED, parallel=True, cache=True)
def forward_chain(threads, row_starts, columns, values, biases, relus, activations):
    """All layers of a chain; every argument but `threads` is a tuple with an entry a layer, `activations` with one more.

    activations[0] is the input; the others are written.
    """
    for layer in range(len(row_starts)):
        starts, places, weights, bias = row_starts[layer], columns[layer], values[layer], biases[layer]
        relu, before, after = relus[layer], activations[layer], activations[layer + 1]
        if threads == 1 or weights.size * before.shape[1] < SERIAL_BELOW:
            _forward_rows(0, after.shape[0], starts, places, weights, bias, before, relu, after)
        else:
            for share in prange(threads):
                first, last = _bound(starts, share, threads), _bound(starts, share + 1, threads)
                _forward_rows(first, last, starts, places, weights, bias, before, relu, after)


@njit(fastmath=RELAXED, parallel=True, cache=True)
def backward_chain(
    threads, column_starts, rows, orders, values, relus, activations, to_input, gradients, values_gradients, sums
):
    """The gradients of a chain, from its last layer to its first; tuples as in `forward_chain`.

    gradients: of the activations, before the ReLU that follows a layer; the last is given, the others are written, the first
    only if `to_input`. values_gradients: of the values. sums: of the rows of `gradients`; those of biases are among them.
    """
    layers = len(column_starts)
    last_gradient = gradients[layers]
    for o in range(last_gradient.shape[0]):
        sums[layers][o] = last_gradient[o].sum()
    for step in range(layers):
        layer = layers - 1 - step
        starts, places, order, weights = column_starts[layer], rows[layer], orders[layer], values[layer]
        before, gradient, result = activations[layer], gradients[layer + 1], values_gradients[layer]
        relu, passed_on, totals = layer > 0 and relus[layer - 1], gradients[layer], sums[layer]
        parallel = threads > 1 and weights.size * before.shape[1] >= SERIAL_BELOW
        if layer == 0 and not to_input:
            if parallel:
                for share in prange(threads):
                    first, last = _bound(starts, share, threads), _bound(starts, share + 1, threads)
                    _gradient_columns(first, last, starts, places, order, before, gradient, result)
            else:
                _gradient_columns(0, before.shape[0], starts, places, order, before, gradient, result)
        elif parallel:
            for share in prange(threads):
                first, last = _bound(starts, share, threads), _bound(starts, share + 1, threads)
                _backward_columns(
                    first, last, starts, places, order, weights, before, relu, gradient, result, passed_on, totals
                )
        else:
            _backward_columns(
                0, before.shape[0], starts, places, order, weights, before, relu, gradient, result, passed_on, totals
            )


@njit(cache=True)
def transpose(matrix_FB):
    """A copy with contiguous rows of a matrix with contiguous columns."""
    copy = np.empty(matrix_FB.shape, np.float32)
    for f in range(matrix_FB.shape[0]):
        for b in range(matrix_FB.shape[1]):
            copy[f, b] = matrix_FB[f, b]
    return copy
