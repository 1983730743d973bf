"""The sum of the weights of all nodes on paths of length three, for sparse masks on the CPU.

    S(u, v) = sum over z2 in N(v) two steps from u of g[u, z2]  +  sum over z1 in N(u) two steps from v of f[z1, v]

Both terms run over links and pairs two steps apart, of which a sparse mask has few: at 1% density a hundredth of
the multiplications that the same sum takes as a product of matrices.

Shape legend: O outputs (rows, side U, nodes u and z2), I inputs (columns, side V, nodes v and z1), T pairs of
inputs two steps apart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from chtexp.system.kernels_cache import njit, prange, run
from chtexp.topology.neighbours import Neighbours
from chtexp.topology.weights import node_weight


def node_scores(links: Neighbours, rule: int) -> Tensor:
    """Sum the weights of the community nodes between every output and every input.

    Args:
        links: the neighbours in the mask.
        rule: the number of the rule in `weights.RULES`.

    Returns:
        [O, I] float32, summed in float64, 0 at the links. Each row is summed by one thread in a fixed order: the
        result does not depend on the number of threads.
    """
    outputs, inputs = links.shape
    start = torch.zeros(inputs + 1, dtype=torch.int64)
    torch.cumsum(at_most_near(links.transposed()), 0, out=start[1:])
    near_T = torch.empty(int(start[-1]), dtype=torch.uint32)
    weight_T = torch.empty(int(start[-1]), dtype=torch.float32)
    end_I = torch.empty(inputs, dtype=torch.int64)
    run(_two_steps, *links.transposed(), rule, start, end_I, near_T, weight_T)
    scores_OI = torch.empty(outputs, inputs, dtype=torch.float32)
    run(_sum_nodes, *links, rule, start, end_I, near_T, weight_T, scores_OI)
    return scores_OI


def at_most_near(links: Neighbours) -> Tensor:
    """[O] int64: an upper bound of how many rows are two steps from each row: walks of two steps, rows."""
    return torch.from_numpy(run(_walks, *links)).clamp_max_(links.shape[0])


@njit()
def _walks(row_start, of_row, column_start, of_column):  # type: ignore[no-untyped-def]
    """How many walks of two steps leave each row."""
    walks = np.zeros(row_start.size - 1, dtype=np.int64)
    for row in range(walks.size):
        for link in range(row_start[row], row_start[row + 1]):
            column = of_row[link]
            walks[row] += np.int64(column_start[column + 1] - column_start[column])
    return walks


@njit()
def count_shared(row, row_start, of_row, column_start, of_column, shared, near):  # type: ignore[no-untyped-def]
    """Count in `shared` [rows], zero before, the columns shared with `row`; list in `near` who shares any."""
    found = 0
    for link in range(row_start[row], row_start[row + 1]):
        column = of_row[link]
        for back in range(column_start[column], column_start[column + 1]):
            other = of_column[back]
            if shared[other] == 0:
                near[found] = other
                found += 1
            shared[other] += 1
    return found


@njit()
def _two_steps_from(  # type: ignore[no-untyped-def]
    row, row_start, of_row, column_start, of_column, rule, start, end, near, weight
):
    rows = row_start.size - 1
    shared = np.zeros(rows, dtype=np.int32)
    here = near[start[row] : start[row + 1]]
    found = count_shared(row, row_start, of_row, column_start, of_column, shared, here)
    degree = np.int64(row_start[row + 1] - row_start[row])
    for place in range(found):
        weight[start[row] + place] = node_weight(rule, shared[here[place]], degree)
    end[row] = start[row] + found


@njit(parallel=True)
def _two_steps(  # type: ignore[no-untyped-def]
    row_start, of_row, column_start, of_column, rule, start, end, near, weight
):
    """For every row, the rows two steps away, and the weight of this one in communities around those."""
    for row in prange(row_start.size - 1):
        _two_steps_from(row, row_start, of_row, column_start, of_column, rule, start, end, near, weight)


@njit()
def _sum_nodes_of(  # type: ignore[no-untyped-def]
    u, row_start, of_row, column_start, of_column, rule, start, end, near, weight, scores_OI
):
    outputs, inputs = scores_OI.shape
    shared = np.zeros(outputs, dtype=np.int32)
    around = np.empty(outputs, dtype=np.uint32)
    total = np.zeros(inputs, dtype=np.float64)
    for place in range(count_shared(u, row_start, of_row, column_start, of_column, shared, around)):
        z2 = around[place]
        g = node_weight(rule, shared[z2], np.int64(row_start[z2 + 1] - row_start[z2]))
        for link in range(row_start[z2], row_start[z2 + 1]):
            total[of_row[link]] += g
    for link in range(row_start[u], row_start[u + 1]):
        z1 = of_row[link]
        for place in range(np.uint64(start[z1]), np.uint64(end[z1])):  # unsigned, as all indices here
            total[near[place]] += weight[place]
    for link in range(row_start[u], row_start[u + 1]):
        total[of_row[link]] = 0
    for v in range(inputs):
        scores_OI[u, v] = total[v]


@njit(parallel=True)
def _sum_nodes(  # type: ignore[no-untyped-def]
    row_start, of_row, column_start, of_column, rule, start, end, near, weight, scores_OI
):
    for u in prange(scores_OI.shape[0]):  # the loop's body is serial code of its own: it compiles three times faster
        _sum_nodes_of(u, row_start, of_row, column_start, of_column, rule, start, end, near, weight, scores_OI)
