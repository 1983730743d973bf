"""The sum over all paths of length three of a product of two weights, storing no path.

    S(u, v) = sum over z1 in N(u), z2 in N(z1) with v in N(z2) of  g[u, z2] f[z1, v]

O(links * d^2) time for mean degree d, and no memory beyond one table of weights: this is what makes the
path-based Cannistraci-Hebb rules (arXiv:2501.19107) exact and cheap. On the CPU compiled kernels walk the
paths; elsewhere torch lists them in bounded chunks.

Shape legend: O outputs (rows, side U, nodes u and z2), I inputs (columns, side V, nodes v and z1), L links, P
paths.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from chtexp.system.kernels_cache import njit, prange, run
from chtexp.topology.neighbours import Neighbours
from chtexp.topology.nodes import count_shared
from chtexp.topology.weights import node_weight

_CHUNK_OF_PATHS = 1 << 22


def path_scores(links: Neighbours, rule: int) -> Tensor:
    """Sum the factors sqrt(w_z1 w_z2) of the paths of length three between every output and every input.

    Args:
        links: the neighbours in the mask, on the CPU.
        rule: the number of the rule in `weights.RULES`.

    Returns:
        [O, I] float32, summed in float64, 0 at the links. Each row is summed by one thread in a fixed order: the
        result does not depend on the number of threads.
    """
    outputs, inputs = links.shape
    factors_II = torch.empty(inputs, inputs, dtype=torch.float32)  # only what lies on a path is ever written or read
    run(_factors, *links.transposed(), rule, factors_II)
    scores_OI = torch.empty(outputs, inputs, dtype=torch.float32)
    run(_sum_paths, *links, rule, factors_II, scores_OI)
    return scores_OI


def chunked_path_scores(
    mask_OI: Tensor, factors_OO: Tensor, factors_II: Tensor, chunk_of_paths: int = _CHUNK_OF_PATHS
) -> Tensor:
    """The same sum in torch operations alone, at most `chunk_of_paths` paths (but whole links) at a time.

    Args:
        mask_OI: [O, I] bool, True where there is a link.
        factors_OO: [O, O] float32, entry (u, z2) is g.
        factors_II: [I, I] float32, entry (z1, v) is f.
        chunk_of_paths: bounds the memory.

    Returns:
        [O, I] float32, summed in float64. Meaningful for absent links only: they alone exclude z2 = u and
        z1 = v. On CUDA the order of the sums is free unless `torch.use_deterministic_algorithms` is on.
    """
    rows, columns = _compressed_rows(mask_OI), _compressed_rows(mask_OI.T)
    outputs, inputs = mask_OI.shape
    degree_O = mask_OI.sum(1)
    paths_through_I = torch.where(mask_OI, degree_O[:, None], 0).sum(0)
    u_L, z1_L = mask_OI.nonzero(as_tuple=True)
    chunk_L = paths_through_I[z1_L].cumsum(0) // chunk_of_paths
    sizes = chunk_L.unique_consecutive(return_counts=True)[1].tolist()
    scores = torch.zeros(outputs * inputs, dtype=torch.float64, device=mask_OI.device)
    for u, z1 in zip(u_L.split(sizes), z1_L.split(sizes), strict=True):
        link, z2 = _step(columns, z1)
        path, v = _step(rows, z2)
        u_P, z1_P, z2_P = u[link][path], z1[link][path], z2[path]
        scores.index_add_(0, u_P * inputs + v, factors_OO[u_P, z2_P].double() * factors_II[z1_P, v])
    return scores.view(outputs, inputs).float()


def _compressed_rows(mask_NM: Tensor) -> tuple[Tensor, Tensor]:
    """Compressed rows, int32: row n's links are `links[start[n]:start[n + 1]]`."""
    start = torch.zeros(mask_NM.shape[0] + 1, dtype=torch.int32, device=mask_NM.device)
    start[1:] = mask_NM.sum(1).cumsum(0)
    return start, mask_NM.nonzero()[:, 1].to(torch.int32).contiguous()


def _step(rows: tuple[Tensor, Tensor], nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Walk from each node to all its neighbours: (position in `nodes`, neighbour) of every step."""
    start, links = rows
    first, count = start[nodes].long(), (start[nodes + 1] - start[nodes]).long()
    origin = torch.arange(nodes.numel(), device=nodes.device).repeat_interleave(count)
    within = torch.arange(origin.numel(), device=nodes.device) - (count.cumsum(0) - count)[origin]
    return origin, links[first[origin] + within].long()


@njit()
def _factors_of_row(row, row_start, of_row, column_start, of_column, rule, factors):  # type: ignore[no-untyped-def]
    """Entry (row, other): the factor of this row in communities around the other."""
    rows = row_start.size - 1
    shared = np.zeros(rows, dtype=np.int32)
    near = np.empty(rows, dtype=np.uint32)
    degree = np.int64(row_start[row + 1] - row_start[row])
    for place in range(count_shared(row, row_start, of_row, column_start, of_column, shared, near)):
        other = near[place]
        factors[row, other] = np.sqrt(node_weight(rule, shared[other], degree))


@njit(parallel=True)
def _factors(row_start, of_row, column_start, of_column, rule, factors):  # type: ignore[no-untyped-def]
    for row in prange(row_start.size - 1):  # a body of its own compiles three times faster
        _factors_of_row(row, row_start, of_row, column_start, of_column, rule, factors)


@njit()
def _row_of_paths(  # type: ignore[no-untyped-def]
    u, row_start, of_row, column_start, of_column, rule, factors_II, scores_OI
):
    outputs, inputs = scores_OI.shape
    shared = np.zeros(outputs, dtype=np.int32)
    near = np.empty(outputs, dtype=np.uint32)
    factors_O = np.empty(outputs, dtype=np.float64)
    total = np.zeros(inputs, dtype=np.float64)
    for place in range(count_shared(u, row_start, of_row, column_start, of_column, shared, near)):
        z2 = near[place]
        factors_O[z2] = np.sqrt(node_weight(rule, shared[z2], np.int64(row_start[z2 + 1] - row_start[z2])))
    for a in range(row_start[u], row_start[u + 1]):
        z1 = of_row[a]
        f = factors_II[z1]
        for b in range(column_start[z1], column_start[z1 + 1]):
            z2 = of_column[b]
            g = factors_O[z2]
            for c in range(row_start[z2], row_start[z2 + 1]):
                v = of_row[c]
                total[v] += g * f[v]
    for a in range(row_start[u], row_start[u + 1]):
        total[of_row[a]] = 0
    for v in range(inputs):
        scores_OI[u, v] = total[v]


@njit(parallel=True)
def _sum_paths(  # type: ignore[no-untyped-def]
    row_start, of_row, column_start, of_column, rule, factors_II, scores_OI
):
    for u in prange(scores_OI.shape[0]):
        _row_of_paths(u, row_start, of_row, column_start, of_column, rule, factors_II, scores_OI)
