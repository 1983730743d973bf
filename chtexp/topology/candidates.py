"""Scans of millions of pairs: who is a candidate, who may be among the best.

Compiled and serial: each scan takes 0.5 to 3 ms for 2.4 million pairs, where torch's `nonzero` takes 8.

Shape legend: N pairs in a flat list, C candidates (the True entries of a mask [N], in that order), S a sample.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from chtexp.system.kernels_cache import njit, run

# Among fewer pairs torch alone takes about a millisecond, and there is nothing to compile.
_FEW = 1 << 14
# One pair in so many is a sample. A prime: samples come from all columns of a matrix.
STRIDE = 61


def are_many(count: int, device: torch.device) -> bool:
    """Whether scans of `count` pairs are worth compiled code."""
    return count >= _FEW and device.type == "cpu"


def positive_candidates(scores_N: Tensor, free_N: Tensor) -> tuple[Tensor, int, int]:
    """The free pairs with a positive score [N] bool, the number of free pairs, and that of the positive ones."""
    if not are_many(free_N.numel(), free_N.device):
        positive_N = free_N & (scores_N > 0)
        return positive_N, int(free_N.count_nonzero()), int(positive_N.count_nonzero())
    positive_N = torch.empty_like(free_N)
    return positive_N, *run(_mark_positive, scores_N, free_N, positive_N)


def likely_cut(sample_S: Tensor, k: int, count: int) -> float:
    """Estimate a value that a few more than `k` of `count` numbers probably reach.

    Args:
        sample_S: a sample of these numbers, all >= 0.
        k: how many numbers should reach the value.
        count: how many numbers there are.

    Returns:
        The value; 0 if nearly all of the numbers must reach it.
    """
    expected = k * sample_S.numel() / count
    reached_by = round(expected + 4 * math.sqrt(expected) + 8)
    if reached_by > sample_S.numel():
        return 0.0
    return sample_S.topk(reached_by, sorted=False).values.min().item()


def pairs_from(values_N: Tensor, cut: float) -> Tensor:
    """LongTensor of the positions, in order, of all values >= cut; on the CPU."""
    return torch.from_numpy(run(_pairs_from, values_N, cut))


def candidates_of_ranks(candidates_N: Tensor, ranks: Tensor) -> Tensor:
    """The position of the r-th candidate, from 0, for every r of `ranks`, in ascending order; on the CPU."""
    return torch.from_numpy(run(_candidates_of_ranks, candidates_N, ranks.sort().values))


@njit()
def _mark_positive(scores_N, free_N, positive_N):  # type: ignore[no-untyped-def]
    free = 0
    positive = 0
    for pair in range(free_N.size):
        positive_N[pair] = free_N[pair] & (scores_N[pair] > 0)
        free += free_N[pair]
        positive += positive_N[pair]
    return free, positive


@njit()
def _pairs_from(values_N, cut):  # type: ignore[no-untyped-def]
    pairs = np.empty(values_N.size, dtype=np.int64)
    found = 0
    for pair in range(values_N.size):
        pairs[found] = pair  # always, and kept by counting on: no branch, twice as fast
        found += values_N[pair] >= cut
    return pairs[:found]


@njit()
def _candidates_of_ranks(candidates_N, ranks):  # type: ignore[no-untyped-def]
    pairs = np.empty_like(ranks)
    pair = -1
    rank = -1
    for position in range(ranks.size):
        while rank < ranks[position]:
            pair += 1
            rank += candidates_N[pair]
        pairs[position] = pair
    return pairs
