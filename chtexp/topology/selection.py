"""Drawing an exact number of links: the best ones, or at random in proportion to a score.

Weighted draws without replacement are exponential races (Efraimidis and Spirakis, 2006), also called the
Gumbel top-k trick: give candidate c the key log w_c - log E_c with E_c ~ Exp(1), and keep the k largest keys.
The race has no limit on the number of candidates, whereas a multinomial draw stops at 2^24. This is the
selection step of regrowth, and of soft removal, in arXiv:2501.19107.

Shape legend: O outputs (rows, side U), I inputs (columns, side V), N candidates in a flat list, k drawn ones.
Random numbers come from the generator's own device and are moved to the tensor's: a CPU generator draws the
same links whatever the device of the scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology.candidates import STRIDE, are_many, likely_cut, pairs_from, positive_candidates
from chtexp.topology.neighbours import links
from chtexp.topology.race import draw_evenly, draw_ranks, draw_weighted, exponential


def sample_links(
    scores_OI: Tensor,
    k: int,
    *,
    soft: bool,
    generator: torch.Generator,
    free_OI: Tensor | None = None,
) -> Tensor:
    """Choose exactly `k` pairs among the free ones, by score (arXiv:2501.19107, regrowth of links).

    Args:
        scores_OI: [O, I] finite scores, none negative, in any unit: only their order (hard) or their ratios
            (soft) count.
        k: how many pairs, at most the number of free pairs.
        soft: False keeps the k highest positive scores. Pairs that tie at the cut are chosen at random by the
            generator, never by their index: counting scores tie a lot, and an index order would fill the
            first rows. True draws k pairs without replacement, each time with probability proportional to the
            score.
        generator: decides every random choice.
        free_OI: [O, I] bool, the pairs that may be drawn; default every pair.

    Returns:
        [O, I] bool with exactly k True, all of them free. Where fewer than k free pairs have a positive
        score, all of those are taken and the rest is drawn uniformly from the free pairs left.

    Raises:
        UserError: wrong shape or type, a negative, NaN or infinite score, k negative or above the free pairs.
    """
    pairs = sample_pairs(scores_OI, k, soft=soft, generator=generator, free_OI=free_OI)
    return _mask(pairs, scores_OI.shape)


def sample_pairs(
    scores_OI: Tensor,
    k: int,
    *,
    soft: bool,
    generator: torch.Generator,
    free_OI: Tensor | None = None,
) -> Tensor:
    """As `sample_links`: int64 [k], the row-major positions of the pairs, in no particular order."""
    free_OI = _checked_free(scores_OI, free_OI)
    free_N, scores_N = free_OI.flatten(), _floating(scores_OI.flatten())
    positive_N, free, positive = positive_candidates(scores_N, free_N)
    _check_count(k, free, "free pairs")
    if positive <= k:
        rest = draw_evenly(free_N ^ positive_N, free - positive, k - positive, generator)
        return torch.cat([links(positive_N), rest])
    if soft:
        return draw_weighted(positive_N, scores_N, positive, k, generator)
    return _highest(positive_N, scores_N, positive, k, generator)


def gumbel_top_k(log_weights: Tensor, k: int, *, generator: torch.Generator, ordered: bool = True) -> Tensor:
    """Draw `k` of N candidates without replacement, each time in proportion to exp(log weight).

    Args:
        log_weights: [N] natural logarithms of unnormalised weights. -inf (weight zero) is drawn only when
            fewer than k other candidates exist, and then uniformly.
        k: how many, at most N.
        generator: decides the draw.
        ordered: False spares the order, which takes most of the time where k is large.

    Returns:
        LongTensor [k] of indices, in the order in which they were drawn (the Plackett-Luce order) if `ordered`.

    Raises:
        UserError: not one-dimensional, NaN or +inf among the weights, k negative or above N.
    """
    if log_weights.dim() != 1:
        raise UserError(f"log_weights must be one-dimensional [N], got shape {list(log_weights.shape)}")
    if not bool((log_weights < torch.inf).all()):
        raise UserError("log_weights holds NaN or +inf; allowed: finite numbers and -inf (weight zero)")
    _check_count(k, log_weights.numel(), "candidates")
    exponentials = exponential(log_weights.numel(), generator).to(log_weights.device)
    keys = log_weights.double() - exponentials.log()
    possible = int(keys.isfinite().sum())
    drawn = keys.topk(min(k, possible), sorted=ordered).indices
    if k <= possible:
        return drawn
    impossible = keys.isinf().nonzero().squeeze(1)
    others = draw_ranks(impossible.numel(), k - possible, generator).to(impossible.device)
    return torch.cat([drawn, impossible[others]])


def uniform_links(free_OI: Tensor, k: int, *, generator: torch.Generator) -> Tensor:
    """Choose exactly `k` of the free pairs, all equally likely.

    Args:
        free_OI: [O, I] bool, the pairs that may be drawn.
        k: how many, at most the number of free pairs.
        generator: decides the draw.

    Returns:
        [O, I] bool with exactly k True.

    Raises:
        UserError: k negative or above the number of free pairs.
    """
    free_N = free_OI.flatten()
    count = int(free_N.count_nonzero())
    _check_count(k, count, "free pairs")
    return _mask(draw_evenly(free_N, count, k, generator), free_OI.shape)


def uniform_pairs(links_L: Tensor, pairs: int, k: int, *, generator: torch.Generator) -> Tensor:
    """As `uniform_links`, without a mask: the same pairs for the same generator.

    Args:
        links_L: int64 [L], the row-major positions of the links, ascending; every other pair is free.
        pairs: O * I of the layer.
        k: how many, at most the number of free pairs.
        generator: decides the draw.

    Returns:
        int64 [k], the row-major positions of the pairs, ascending.

    Raises:
        UserError: k negative or above the number of free pairs.
    """
    free = pairs - links_L.numel()
    _check_count(k, free, "free pairs")
    ranks_K = draw_ranks(free, k, generator).to(links_L.device).sort().values
    free_before_L = links_L - torch.arange(links_L.numel(), device=links_L.device)
    return ranks_K + torch.searchsorted(free_before_L, ranks_K, right=True)


def _highest(positive_N: Tensor, scores_N: Tensor, count: int, k: int, generator: torch.Generator) -> Tensor:
    """Indices of the k highest of `count` positive scores; those that tie at the cut are drawn at random."""
    if k == 0:
        return torch.empty(0, dtype=torch.long, device=scores_N.device)
    pairs = _upper(positive_N, scores_N, count, k)
    scores = scores_N[pairs]
    cut = scores.topk(k, sorted=False).values.min()
    above, tied = pairs[scores > cut], pairs[scores == cut]
    drawn = draw_ranks(tied.numel(), k - above.numel(), generator).to(tied.device)
    return torch.cat([above, tied[drawn]])


def _upper(positive_N: Tensor, scores_N: Tensor, count: int, k: int) -> Tensor:
    """Indices, in order, of all positive scores from some height on that at least k reach."""
    if are_many(count, positive_N.device):
        cut = likely_cut(scores_N[::STRIDE][positive_N[::STRIDE]], k, count)
        pairs = pairs_from(scores_N, cut)
        pairs = pairs[positive_N[pairs]]
        if pairs.numel() >= k:
            return pairs
    return positive_N.nonzero().squeeze(1)


def _mask(pairs: Tensor, shape: torch.Size) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool, device=pairs.device)
    mask.view(-1)[pairs] = True
    return mask


def _floating(scores_N: Tensor) -> Tensor:
    return scores_N if scores_N.dtype in (torch.float32, torch.float64) else scores_N.double()


def _checked_free(scores_OI: Tensor, free_OI: Tensor | None) -> Tensor:
    if scores_OI.dim() != 2:
        raise UserError(f"scores must be two-dimensional [O, I], got shape {list(scores_OI.shape)}")
    if scores_OI.numel() and not all(0 <= end.item() < torch.inf for end in scores_OI.aminmax()):  # NaN is both
        raise UserError("scores hold a negative, NaN or infinite number; allowed: finite numbers >= 0")
    if free_OI is None:
        return torch.ones_like(scores_OI, dtype=torch.bool)
    if free_OI.dtype != torch.bool or free_OI.shape != scores_OI.shape:
        raise UserError(
            f"free_OI must be bool of the scores' shape {list(scores_OI.shape)}, "
            f"got {free_OI.dtype} {list(free_OI.shape)}"
        )
    return free_OI


def _check_count(k: int, available: int, what: str) -> None:
    if not 0 <= k <= available:
        raise UserError(f"cannot draw k = {k} of {available} {what}; allowed: 0 to {available}")
