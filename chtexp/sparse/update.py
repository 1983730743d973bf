"""The stages of one topology update, each a pure function of links: prune, remove, regrow (arXiv:2501.19107).

Removal chooses among links, in row-major order; regrowth chooses among all free pairs, which have no link. No function changes
its arguments.

Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from chtexp.config.plugged import PLUGGED
from chtexp.sparse.criteria import link_scores
from chtexp.sparse.growth import GROWTH
from chtexp.sparse.links import Links
from chtexp.sparse.own_rules import Readable, scores_of_pairs
from chtexp.topology import gumbel_top_k, sample_links
from chtexp.topology.selection import sample_pairs, uniform_pairs


def keep_highest(score_K: Tensor, keep: int, generator: torch.Generator) -> Tensor:
    """Keep the links of highest score.

    Args:
        score_K: [K] float.
        keep: the number of links to keep.
        generator: breaks ties.

    Returns:
        [K] bool, True for links that stay.
    """
    return sample_links(score_K.unsqueeze(0), keep, soft=False, generator=generator).squeeze(0)


def keep_highest_overall(scores: Sequence[Tensor], keep: int, generator: torch.Generator) -> list[Tensor]:
    """Keep the links of highest score over all layers (global pruning).

    Args:
        scores: of every layer, each [K] float.
        keep: the number of links to keep, of all layers together.
        generator: breaks ties.

    Returns:
        For every layer [K] bool, True for links that stay.
    """
    return list(keep_highest(torch.cat(list(scores)), keep, generator).split([score.numel() for score in scores]))


def remove(
    links: Links,
    weight_K: Tensor,
    gradient_OI: Tensor | None,
    *,
    rule: str,
    parameters: Mapping[str, object] | None = None,
    exponent: float | None,
    keep: int,
    generator: torch.Generator,
    own_draws: Callable[[], torch.Generator] = torch.Generator,
) -> Tensor:
    """Choose the links that stay when others are removed.

    Args:
        links: the links.
        weight_K: [K] float, their weights.
        gradient_OI: [O, I] float, the loss's dense gradient, for rules that read it.
        rule: a name in `CRITERIA`, or of a plug-in's rule.
        parameters: of a plug-in's rule.
        exponent: None: the links of highest score stay. Otherwise they are drawn without replacement, with probability
            proportional to score^exponent, in the log domain, so that exponent 9 does not underflow.
        keep: the number of links that stay.
        generator: decides which links stay, where that is random.
        own_draws: makes the generator of a plug-in's rule.

    Returns:
        [K] bool, True for links that stay.

    Raises:
        UserError: an unknown rule, or wrong scores of a plug-in's rule.
    """
    score_K = link_scores(rule, weight_K, gradient_OI, links, parameters, own_draws)
    if exponent is None:
        return keep_highest(score_K, keep, generator)
    score_K = score_K.double()
    log_weight_K = exponent * score_K.log() if exponent else torch.zeros_like(score_K)  # 0^0 = 1, not NaN
    kept_K = torch.zeros_like(score_K, dtype=torch.bool)
    kept_K[gumbel_top_k(log_weight_K, keep, generator=generator, ordered=False)] = True
    return kept_K


def regrow(
    links: Links,
    gradient_OI: Tensor | None,
    *,
    rule: str,
    parameters: Mapping[str, object] | None = None,
    soft: bool,
    count: int,
    generator: torch.Generator,
    readable: Readable | None = None,
) -> Links:
    """Choose new links among the free pairs.

    Args:
        links: the present links.
        gradient_OI: [O, I] float, the loss's dense gradient, for rules that read it.
        rule: `random`, a name in `GROWTH`, or of a plug-in's rule. If fewer than `count` free pairs score above zero, the rest
            is drawn uniformly from the free pairs.
        parameters: of a plug-in's rule.
        soft: whether links are drawn with probability proportional to the score; otherwise the highest scores win.
        count: the number of new links, at most the number of free pairs.
        generator: decides which links are grown, where that is random.
        readable: what a plug-in's rule may read.

    Returns:
        The new links alone.

    Raises:
        UserError: wrong scores of a plug-in's rule.
    """
    if rule == "random":
        pairs = links.shape[0] * links.shape[1]
        return Links(uniform_pairs(links.positions_K, pairs, count, generator=generator), links.shape)
    mask_OI = links.mask()
    if own := PLUGGED.get("regrowth", rule):
        assert readable is not None
        score_OI = scores_of_pairs(own, parameters or {}, readable)
    else:
        score_OI = GROWTH[rule](mask_OI, gradient_OI)
    free_OI = mask_OI.logical_not_()
    grown = sample_pairs(score_OI, count, soft=soft, generator=generator, free_OI=free_OI)
    return Links(grown.sort().values, links.shape)
