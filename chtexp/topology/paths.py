"""The sum over all paths of length three of a product of two weights, storing no path.

    S(u, v) = sum over z1 in N(u), z2 in N(z1) with v in N(z2) of  g[u, z2] f[z1, v]

O(links * d^2) time for mean degree d, and no memory beyond the two tables of weights: this is what makes the
path-based Cannistraci-Hebb rules (arXiv:2501.19107) exact and cheap. On the CPU a compiled kernel walks the
paths; elsewhere torch lists them in bounded chunks.

Shape legend: O outputs (rows, side U, nodes u and z2), I inputs (columns, side V, nodes v and z1), L links, P
paths.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

_CHUNK_OF_PATHS = 1 << 22


def path_scores(mask_OI: Tensor, weights_OO: Tensor, weights_II: Tensor) -> Tensor:
    """Sum the weights of the paths of length three between every output and every input.

    Args:
        mask_OI: [O, I] bool, True where there is a link.
        weights_OO: [O, O] float32, entry (u, z2) is g.
        weights_II: [I, I] float32, entry (z1, v) is f.

    Returns:
        [O, I] float32, summed in float64. Meaningful for absent links only: they alone exclude z2 = u and
        z1 = v. On the CPU each row is summed by one thread in a fixed order: the result does not depend on
        the number of threads, which follows torch's. On CUDA the order of the sums is free unless
        `torch.use_deterministic_algorithms` is on.
    """
    if mask_OI.device.type == "cpu":
        return _compiled(mask_OI, weights_OO, weights_II)
    return _chunked(mask_OI, weights_OO, weights_II, _CHUNK_OF_PATHS)


def _compiled(mask_OI: Tensor, weights_OO: Tensor, weights_II: Tensor) -> Tensor:
    rows, columns = _neighbours(mask_OI), _neighbours(mask_OI.T)
    scores_OI = torch.empty(mask_OI.shape, dtype=torch.float32)
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, available))
    arrays = (tensor.numpy() for tensor in (*rows, *columns, weights_OO, weights_II, scores_OI))
    _walk(*arrays)
    torch.set_num_threads(threads)  # numba, when it starts its threads, sets the count that torch reads too
    return scores_OI


@njit(parallel=True, cache=True)
def _walk(  # type: ignore[no-untyped-def]
    row_start, row_links, column_start, column_links, weights_OO, weights_II, scores_OI
):
    outputs, inputs = scores_OI.shape
    for u in prange(outputs):
        total = np.zeros(inputs, dtype=np.float64)
        for a in range(row_start[u], row_start[u + 1]):
            z1 = row_links[a]
            f = weights_II[z1]
            for b in range(column_start[z1], column_start[z1 + 1]):
                z2 = column_links[b]
                g = np.float64(weights_OO[u, z2])
                for c in range(row_start[z2], row_start[z2 + 1]):
                    v = row_links[c]
                    total[v] += g * f[v]
        scores_OI[u] = total


def _chunked(mask_OI: Tensor, weights_OO: Tensor, weights_II: Tensor, chunk_of_paths: int) -> Tensor:
    """The same sum in torch operations alone, at most `chunk_of_paths` paths (but whole links) at a time."""
    rows, columns = _neighbours(mask_OI), _neighbours(mask_OI.T)
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
        scores.index_add_(0, u_P * inputs + v, weights_OO[u_P, z2_P].double() * weights_II[z1_P, v])
    return scores.view(outputs, inputs).float()


def _neighbours(mask_NM: Tensor) -> tuple[Tensor, Tensor]:
    """Compressed rows, int32: row n's links are `links[start[n]:start[n + 1]]`."""
    start = torch.zeros(mask_NM.shape[0] + 1, dtype=torch.int32, device=mask_NM.device)
    start[1:] = mask_NM.sum(1).cumsum(0)
    return start, mask_NM.nonzero()[:, 1].to(torch.int32).contiguous()


def _step(neighbours: tuple[Tensor, Tensor], nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Walk from each node to all its neighbours: (position in `nodes`, neighbour) of every step."""
    start, links = neighbours
    first, count = start[nodes].long(), (start[nodes + 1] - start[nodes]).long()
    origin = torch.arange(nodes.numel(), device=nodes.device).repeat_interleave(count)
    within = torch.arange(origin.numel(), device=nodes.device) - (count.cumsum(0) - count)[origin]
    return origin, links[first[origin] + within].long()
