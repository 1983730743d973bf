"""Random draws among millions of candidates, without a logarithm for everyone.

A weighted draw without replacement is a race (Efraimidis and Spirakis, 2006): candidate c arrives at the time
E_c / w_c, E_c ~ Exp(1), and the first k have won. Torch makes an exponential number out of a uniform one u in
[0, 1) as E = -log(1 - u) >= u; the uniform numbers alone take a quarter of the time (9 instead of 41 ms for 2.2
million). A candidate with w < t u has w / E < t: with a speed t that at least k candidates reach, nobody below
it needs a logarithm. An even draw takes the k largest E, hence the k largest u.

The winners are, for a given generator, exactly those of the race of everyone, which is what runs where the
shortcut does not apply: few candidates, tensors on a GPU, a torch that makes its numbers in another way.

Shape legend: N pairs in a flat list, C candidates (the True entries of a mask [N], in that order), S those of
them who may win, K winners.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from chtexp.system.kernels_cache import njit, run
from chtexp.topology.candidates import STRIDE, are_many, candidates_of_ranks, likely_cut, pairs_from

# E = 0, which torch draws once in 2^53, must have a logarithm.
_SHORTEST = 1e-300


def draw_weighted(candidates_N: Tensor, weights_N: Tensor, count: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw `k` candidates without replacement, each time in proportion to their weight.

    Args:
        candidates_N: [N] bool.
        weights_N: [N] float32 or float64, positive and finite at every candidate.
        count: C, the number of candidates.
        k: how many, at most C.
        generator: decides the draw, by one Exp(1) number a candidate.

    Returns:
        LongTensor [k] of indices into [N], in no particular order.
    """
    if not _has_shortcut(count, candidates_N.device, generator):
        pairs_C = candidates_N.nonzero().squeeze(1)
        exponential_C = exponential(count, generator).to(pairs_C.device)
        return pairs_C[_speeds(weights_N[pairs_C], exponential_C).topk(k, sorted=False).indices]
    uniform_C = _uniform(count, generator)
    sample_S = weights_N[::STRIDE][candidates_N[::STRIDE]].double()
    # Uniform numbers of any source do for the sample: they know nothing of the weights.
    exponential_S = -torch.log1p(-uniform_C[: sample_S.numel()])
    speed = likely_cut(sample_S / exponential_S.clamp_min_(_SHORTEST), k, count)
    pairs_K, slowest = _fastest(k, speed, candidates_N, weights_N, uniform_C)
    # Nobody left out can have won, by a margin far above the rounding of logarithms.
    if speed == 0 or (pairs_K.numel() == k and slowest > math.log(speed) + 1e-9):
        return pairs_K
    return _fastest(k, 0.0, candidates_N, weights_N, uniform_C)[0]


def draw_evenly(candidates_N: Tensor, count: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw `k` candidates, all subsets equally likely.

    Args:
        candidates_N: [N] bool.
        count: C, the number of candidates.
        k: how many, at most C.
        generator: decides the draw, by one Exp(1) number a candidate; none where nothing is to decide.

    Returns:
        LongTensor [k] of indices into [N], in no particular order.
    """
    ranks = draw_ranks(count, k, generator).to(candidates_N.device)
    if not are_many(count, candidates_N.device):
        return candidates_N.nonzero().squeeze(1)[ranks]
    return candidates_of_ranks(candidates_N, ranks)


def draw_ranks(count: int, k: int, generator: torch.Generator) -> Tensor:
    """As `draw_evenly`, from a list of `count` candidates: LongTensor [k] on the generator's device."""
    if k in (0, count):
        return torch.arange(k, device=generator.device)
    if not _has_shortcut(count, generator.device, generator):
        return exponential(count, generator).topk(k, sorted=False).indices
    uniform_C = _uniform(count, generator)
    likely = k + 6 * math.sqrt(k) + 16  # six standard deviations above k: hardly ever are there fewer than k
    ranks = pairs_from(uniform_C, 1 - likely / count)
    if ranks.numel() < k:
        ranks = torch.arange(count)
    return ranks[uniform_C[ranks].topk(k, sorted=False).indices]


def exponential(count: int, generator: torch.Generator) -> Tensor:
    """Independent Exp(1) numbers [count], float64 and above zero, on the generator's device."""
    numbers = torch.empty(count, dtype=torch.float64, device=generator.device)
    return numbers.exponential_(generator=generator).clamp_min_(_SHORTEST)


def _has_shortcut(count: int, device: torch.device, generator: torch.Generator) -> bool:
    on_cpu = are_many(count, device) and generator.device.type == "cpu"
    return on_cpu and _exponential_is_log_of_uniform()


@functools.cache
def _exponential_is_log_of_uniform() -> bool:
    """Whether torch's float64 exponential numbers are, bit for bit, -log(1 - u) of the uniform ones."""
    uniform_C = _uniform(1000, torch.Generator().manual_seed(0))
    exponential_C = exponential(1000, torch.Generator().manual_seed(0))
    return exponential_C.tolist() == [max(-math.log1p(-u), _SHORTEST) for u in uniform_C.tolist()]


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.empty(count, dtype=torch.float64).uniform_(generator=generator)


def _speeds(weights_C: Tensor, exponential_C: Tensor) -> Tensor:
    """log(w / E), float64: the logarithms neither overflow nor underflow."""
    return weights_C.double().log() - exponential_C.log()


def _fastest(k: int, speed: float, candidates_N: Tensor, weights_N: Tensor, uniform_C: Tensor) -> tuple[Tensor, float]:
    """The `k` fastest (or all) of those who may reach `speed`, and log(w / E) of the slowest of them."""
    pairs, exponentials = run(_contenders, candidates_N, weights_N, uniform_C, speed)
    pairs_S = torch.from_numpy(pairs)
    speeds_S = _speeds(weights_N[pairs_S], torch.from_numpy(exponentials))
    speeds_K, winners_K = speeds_S.topk(min(k, speeds_S.numel()), sorted=False)
    return pairs_S[winners_K], min(speeds_K.tolist(), default=math.inf)


@njit()
def _contenders(candidates_N, weights_N, uniform_C, speed):  # type: ignore[no-untyped-def]
    """The candidates that may reach `speed`, in order, and their exponential numbers."""
    pairs = np.empty(uniform_C.size + 1, dtype=np.int64)
    ranks = np.empty(uniform_C.size + 1, dtype=np.int64)
    found = 0
    rank = 0
    for pair in range(candidates_N.size):
        pairs[found] = pair  # always, and kept by counting on: no branch, twice as fast
        ranks[found] = rank
        uniform = uniform_C[min(rank, uniform_C.size - 1)]
        found += candidates_N[pair] & (weights_N[pair] >= speed * uniform)
        rank += candidates_N[pair]
    exponentials = np.empty(found, dtype=np.float64)
    for contender in range(found):
        exponentials[contender] = max(-math.log1p(-uniform_C[ranks[contender]]), _SHORTEST)
    return pairs[:found], exponentials
