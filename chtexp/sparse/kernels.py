"""Compiled products with the links of a chain of layers, on feature-major activations.

Every row of an activation holds one neuron's values over the batch, so that a link is one multiply-add of two contiguous
rows. Each thread owns whole rows of what it writes: results do not depend on the number of threads.

Shapes: O outputs, I inputs, B batch, K links (by row; `order` leads there from the lists by column).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import llvmlite.binding
import numpy as np

from chtexp.sparse import narrow, wide
from chtexp.sparse.vectors import LANES
from chtexp.topology.compiled import njit, prange

# Below, `wide` is as fast. Parts of vectors need instructions without which they are taken apart, lane by lane.
NARROW_FROM = 9 if llvmlite.binding.get_host_cpu_features().get("avx2", False) else LANES
SERIAL_BELOW = 1 << 18  # multiply-adds of a product: below, waking threads costs more than they save


@njit(parallel=True)
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


@njit(parallel=True)
def backward_chain(
    threads, column_starts, rows, orders, values, relus, activations, to_input, gradients, values_gradients, sums
):
    """The gradients of a chain, from its last layer to its first; tuples as in `forward_chain`.

    gradients: of the activations, before the ReLU that follows a layer; the last is given, the others are written, the first
    only if `to_input`. values_gradients: of the values. sums: of the rows of `gradients`; those of biases are among them.
    """
    layers = len(column_starts)
    _sum_rows(gradients[layers], sums[layers])
    for step in range(layers):
        layer = layers - 1 - step
        starts, places, order, weights = column_starts[layer], rows[layer], orders[layer], values[layer]
        before, gradient, result = activations[layer], gradients[layer + 1], values_gradients[layer]
        relu, passed_on, totals = layer > 0 and relus[layer - 1], gradients[layer], sums[layer]
        pass_on = layer > 0 or to_input
        if threads == 1 or weights.size * before.shape[1] < SERIAL_BELOW:
            _backward_columns(
                0,
                before.shape[0],
                starts,
                places,
                order,
                weights,
                before,
                relu,
                gradient,
                result,
                pass_on,
                passed_on,
                totals,
            )
        else:
            for share in prange(threads):
                first, last = _bound(starts, share, threads), _bound(starts, share + 1, threads)
                _backward_columns(
                    first,
                    last,
                    starts,
                    places,
                    order,
                    weights,
                    before,
                    relu,
                    gradient,
                    result,
                    pass_on,
                    passed_on,
                    totals,
                )


@njit()
def _forward_rows(first, last, starts, columns, values, bias, input_IB, relu, output_OB):
    batch = input_IB.shape[1]
    if batch == LANES:
        narrow.forward_rows(first, last, starts, columns, values, bias, input_IB, relu, output_OB, None)
    elif NARROW_FROM <= batch < LANES:
        narrow.forward_rows(first, last, starts, columns, values, bias, input_IB, relu, output_OB, batch)
    else:
        wide.forward_rows(first, last, starts, columns, values, bias, input_IB, relu, output_OB)


@njit()
def _backward_columns(
    first, last, starts, rows, order, values, input_IB, relu, gradient_OB, result, to_input, passed_on, sums
):
    batch = input_IB.shape[1]
    if batch == LANES:
        narrow.backward_columns(
            first,
            last,
            starts,
            rows,
            order,
            values,
            input_IB,
            relu,
            gradient_OB,
            result,
            to_input,
            passed_on,
            sums,
            None,
        )
    elif NARROW_FROM <= batch < LANES:
        narrow.backward_columns(
            first,
            last,
            starts,
            rows,
            order,
            values,
            input_IB,
            relu,
            gradient_OB,
            result,
            to_input,
            passed_on,
            sums,
            batch,
        )
    else:
        wide.backward_columns(
            first, last, starts, rows, order, values, input_IB, relu, gradient_OB, result, to_input, passed_on, sums
        )


@njit()
def _bound(starts, share, shares):
    """The first line of a share: lines are cut so that every share has about as many links."""
    if share == shares:
        return starts.shape[0] - 1
    return np.searchsorted(starts, np.uint32(np.int64(starts[-1]) * share // shares))


@njit(fastmath=wide.RELAXED)
def _sum_rows(matrix_OB, sums_O):
    for o in range(matrix_OB.shape[0]):
        total = np.float32(0)
        for b in range(matrix_OB.shape[1]):
            total += matrix_OB[o, b]
        sums_O[o] = total


@njit()
def transpose(matrix_FB):
    """A copy with contiguous rows of a matrix with contiguous columns."""
    copy = np.empty(matrix_FB.shape, np.float32)
    for f in range(matrix_FB.shape[0]):
        for b in range(matrix_FB.shape[1]):
            copy[f, b] = matrix_FB[f, b]
    return copy
