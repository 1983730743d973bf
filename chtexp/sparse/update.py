"""The stages of one topology update, each a pure function of masks: prune, remove, regrow (arXiv:2501.19107).

Shapes: O outputs, I inputs. Every function returns new masks and leaves its arguments as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chtexp.sparse.criteria import link_scores
from chtexp.topology import CH_RULES, ch_scores, gumbel_top_k, sample_links


def keep_highest(score_OI: Tensor, candidates_OI: Tensor, keep: int, generator: torch.Generator) -> Tensor:
    """The `keep` candidates of highest score; ties are broken by the generator."""
    return sample_links(score_OI, keep, soft=False, generator=generator, free_OI=candidates_OI)


def keep_highest_overall(
    scores: Sequence[Tensor], candidates: Sequence[Tensor], keep: int, generator: torch.Generator
) -> list[Tensor]:
    """As `keep_highest`, comparing the scores of all layers with each other (global pruning)."""
    flat = keep_highest(
        torch.cat([score.reshape(-1) for score in scores]).unsqueeze(0),
        torch.cat([mask.reshape(-1) for mask in candidates]).unsqueeze(0),
        keep,
        generator,
    ).squeeze(0)
    parts = flat.split([mask.numel() for mask in candidates])
    return [part.view(mask.shape) for part, mask in zip(parts, candidates, strict=True)]


def remove(
    mask_OI: Tensor,
    weight_OI: Tensor,
    gradient_OI: Tensor | None,
    *,
    rule: str,
    exponent: float | None,
    keep: int,
    generator: torch.Generator,
) -> Tensor:
    """The mask after removal, with `keep` links.

    exponent None: the links of highest score stay. Otherwise they are drawn without replacement with probability
    proportional to score^exponent, in the log domain, so that exponent 9 does not underflow.
    """
    score_OI = link_scores(rule, weight_OI, gradient_OI)
    if exponent is None:
        return keep_highest(score_OI, mask_OI, keep, generator)
    links_K = mask_OI.reshape(-1).nonzero().squeeze(1)
    score_K = score_OI.reshape(-1)[links_K].double()
    log_weight_K = exponent * score_K.log() if exponent else torch.zeros_like(score_K)  # 0^0 = 1, not NaN
    drawn = gumbel_top_k(log_weight_K, keep, generator=generator)
    kept = torch.zeros_like(mask_OI.reshape(-1))
    kept[links_K[drawn]] = True
    return kept.view(mask_OI.shape)


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

    rule: `random`, `gradient` (|g|, RigL) or one of the link-prediction rules. Where fewer free pairs than `count`
    score above zero, the rest is drawn uniformly from the free pairs.
    """
    if rule in CH_RULES:
        score_OI = ch_scores(mask_OI, rule)
    elif rule == "gradient":
        assert gradient_OI is not None
        score_OI = gradient_OI.abs().float()
    else:
        score_OI = torch.zeros(mask_OI.shape, device=mask_OI.device)
    return sample_links(score_OI, count, soft=soft, generator=generator, free_OI=~mask_OI)
