"""The stages of one topology update, each a pure function of masks: prune, remove, regrow (arXiv:2501.19107).

What is removed is chosen among links, in row-major order; what is grown, among all free pairs of a mask. Every function
leaves its arguments as they are.

Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chtexp.sparse.criteria import link_scores
from chtexp.sparse.growth import GROWTH
from chtexp.sparse.links import Links
from chtexp.topology import gumbel_top_k, sample_links, uniform_links


def keep_highest(score_K: Tensor, keep: int, generator: torch.Generator) -> Tensor:
    """Bool [K]: the `keep` of highest score; ties are broken by the generator."""
    return sample_links(score_K.unsqueeze(0), keep, soft=False, generator=generator).squeeze(0)


def keep_highest_overall(scores: Sequence[Tensor], keep: int, generator: torch.Generator) -> list[Tensor]:
    """As `keep_highest`, comparing the scores of all layers with each other (global pruning)."""
    return list(keep_highest(torch.cat(list(scores)), keep, generator).split([score.numel() for score in scores]))


def remove(
    links: Links,
    weight_K: Tensor,
    gradient_OI: Tensor | None,
    *,
    rule: str,
    exponent: float | None,
    keep: int,
    generator: torch.Generator,
) -> Tensor:
    """Bool [K]: the `keep` links that stay.

    exponent None: those of highest score. Otherwise they are drawn without replacement with probability proportional
    to score^exponent, in the log domain, so that exponent 9 does not underflow.
    """
    score_K = link_scores(rule, weight_K, gradient_OI, links)
    if exponent is None:
        return keep_highest(score_K, keep, generator)
    score_K = score_K.double()
    log_weight_K = exponent * score_K.log() if exponent else torch.zeros_like(score_K)  # 0^0 = 1, not NaN
    kept_K = torch.zeros_like(score_K, dtype=torch.bool)
    kept_K[gumbel_top_k(log_weight_K, keep, generator=generator, ordered=False)] = True
    return kept_K


def regrow(
    mask_OI: Tensor,
    gradient_OI: Tensor | None,
    *,
    rule: str,
    soft: bool,
    count: int,
    generator: torch.Generator,
) -> Tensor:
    """`count` new links among the free pairs of `mask_OI`, by score or drawn in proportion to it.

    rule: `random`, or a name in GROWTH. Where fewer free pairs than `count`
    score above zero, the rest is drawn uniformly from the free pairs.
    """
    if rule == "random":
        return uniform_links(~mask_OI, count, generator=generator)
    score_OI = GROWTH[rule](mask_OI, gradient_OI)
    return sample_links(score_OI, count, soft=soft, generator=generator, free_OI=~mask_OI)
