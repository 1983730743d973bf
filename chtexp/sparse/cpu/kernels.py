"""Compiled products with the links of a chain of layers, on feature-major activations.

Every row of an activation holds one neuron's values over the batch, so that a link is one multiply-add of two contiguous
rows. Each thread owns whole rows of what it writes: results do not depend on the number of threads.

Shapes: O outputs, I inputs, B batch, K links (by row; `order` leads there from the lists by column).
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import llvmlite.binding
import numpy as np

from chtexp.sparse.cpu import narrow, single, wide
from chtexp.sparse.cpu.vectors import LANES
from chtexp.system.kernels_cache import njit, prange

# Below, `wide` is as fast. Parts of vectors need instructions without which they are taken apart, lane by lane.
NARROW_FROM = 9 if llvmlite.binding.get_host_cpu_features().get("avx2", False) else LANES
SERIAL_BELOW = 1 << 18  # multiply-adds of a product: below, waking threads costs more than they save


@njit(parallel=True)
def forward_chain(threads, row_starts, columns, values, biases, relus, activations):
    """Compute all layers of a chain.

    Args:
        threads: how many to use.
        row_starts: of every layer, [O + 1] uint32.
        columns: of every layer, [K] uint32.
        values: of every layer, [K] float32, the weights of the links.
        biases: of every layer, [O] float32; empty where there is none.
        relus: of every layer, whether a ReLU follows.
        activations: one more than layers, [features, B] float32; the first is the input, the others are written.
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
    """Compute the gradients of a chain, from its last layer to its first; arguments as in `forward_chain`, and these.

    Args:
        column_starts: of every layer, [I + 1] uint32.
        rows: of every layer, [K] uint32, by column.
        orders: of every layer, [K] uint32, the places of the links in the list by row, by column.
        to_input: whether the gradient of the input is wanted.
        gradients: as many as `activations`, the gradients of these before the ReLU. The last is given, the others are written,
            the first only if `to_input`.
        values_gradients: of every layer, [K] float32, the gradients of the values; written.
        sums: as many as `activations`, [features] float32, the sums of the rows of `gradients`, which are the gradients of the
            biases; written.
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
    if batch == 1:
        single.forward_rows(first, last, starts, columns, values, bias, input_IB, relu, output_OB)
    elif batch == LANES:
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
    """The first line of a share: lines are divided so that all shares have about the same number of links."""
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
    """Copy a matrix [F, B] float32 whose columns are contiguous into one whose rows are."""
    copy = np.empty(matrix_FB.shape, np.float32)
    for f in range(matrix_FB.shape[0]):
        for b in range(matrix_FB.shape[1]):
            copy[f, b] = matrix_FB[f, b]
    return copy
