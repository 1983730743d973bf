"""Scores of links for removal and pruning: high means keep (arXiv:2501.19107, removal criteria; Table 12).

Every criterion takes the weights and the gradients of the links, both [K] float32, and the links themselves; it returns scores,
[K] float32. Criteria that do not read gradients may be given anything in their place.

Shapes: O outputs, I inputs, K links, in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from chtexp.config.plugged import PLUGGED
from chtexp.config.rules import READ_GRADIENT
from chtexp.errors import unknown
from chtexp.sparse.links import Links
from chtexp.sparse.own_rules import Readable, scores_of_links

TINY = 1e-12  # keeps the two sensitivities finite where a weight or a gradient is exactly zero


def magnitude(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `wm`: |W|."""
    return weight_K.abs()


def relative_importance(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `ri`: |W_ij| / sum of row i + |W_ij| / sum of column j (a row or column without weight counts 0)."""
    size_K = weight_K.abs()
    shares = []
    for side, lines_K in enumerate((links.rows_K, links.columns_K)):
        shares.append(size_K / _sums(size_K, links, side, lines_K).clamp_min(TINY)[lines_K])
    return shares[0] + shares[1]


def _sums(size_K: Tensor, links: Links, side: int, lines_K: Tensor) -> Tensor:
    """The sum of every row (side 0) or column (side 1), always added up in the same order."""
    if size_K.device.type == "cpu":
        return torch.zeros(links.shape[side], dtype=size_K.dtype).index_add_(0, lines_K, size_K)
    matrix_OI = torch.zeros(links.shape, dtype=size_K.dtype, device=size_K.device)  # index_add_ has no order there
    links.put(matrix_OI, size_K)
    return matrix_OI.sum(1 - side)


def sign_balanced(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `set`: the rank of |W| among the links of the same sign.

    Keeping the highest of these ranks removes the smallest positive and the largest negative weights in equal
    shares, as the original SET does (Mocanu et al., 2018).

    Args:
        weight_K: the weights of the links.
        gradient_K: not read.
        links: not read.

    Returns:
        [K] in (0, 1]; 0 for a weight of zero.
    """
    score_K = torch.zeros_like(weight_K)
    for side_K in (weight_K > 0, weight_K < 0):
        size = weight_K[side_K].abs()
        rank = size.argsort().argsort()
        score_K[side_K] = (rank + 1).to(score_K.dtype) / max(size.numel(), 1)
    return score_K


def mest(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `mest`: |W| + 0.01 |g| (Yuan et al., 2021)."""
    return weight_K.abs() + 0.01 * gradient_K.abs()


def snip(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `snip`: |W g| (Lee et al., 2019)."""
    return (weight_K * gradient_K).abs()


def sensitivity(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `sensitivity`: |g| / |W|."""
    return gradient_K.abs() / weight_K.abs().clamp_min(TINY)


def reciprocal_sensitivity(weight_K: Tensor, gradient_K: Tensor, links: Links) -> Tensor:
    """Score links by `rsensitivity`: |W| / |g|."""
    return weight_K.abs() / gradient_K.abs().clamp_min(TINY)


# From the weights [K] and gradients [K] of links, float32, to scores [K], float32.
CRITERIA: dict[str, Callable[[Tensor, Tensor, Links], Tensor]] = {
    "wm": magnitude,
    "ri": relative_importance,
    "set": sign_balanced,
    "mest": mest,
    "snip": snip,
    "sensitivity": sensitivity,
    "rsensitivity": reciprocal_sensitivity,
}


def link_scores(
    rule: str,
    weight_K: Tensor,
    gradient_OI: Tensor | None,
    links: Links,
    parameters: Mapping[str, object] | None = None,
    own_draws: Callable[[], torch.Generator] = torch.Generator,
) -> Tensor:
    """Score links by a removal rule.

    Args:
        rule: a name in `CRITERIA`, or of a plug-in's rule.
        weight_K: [K] float, the links' weights.
        gradient_OI: [O, I] float, the loss's dense gradient; only the rules in `READ_GRADIENT` read it, others take None.
        links: the links.
        parameters: of a plug-in's rule.
        own_draws: makes the generator of a plug-in's rule.

    Returns:
        [K] float32; links of low score are removed.

    Raises:
        UserError: an unknown rule, or wrong scores of a plug-in's rule.
        ValueError: the rule reads the gradient, and it is None.
    """
    if own := PLUGGED.get("removal", rule):
        return scores_of_links(own, parameters or {}, Readable(links, lambda: weight_K, gradient_OI, own_draws))
    if rule not in CRITERIA:
        raise unknown("removal rule", rule, PLUGGED.names("removal"))
    if rule not in READ_GRADIENT:
        gradient_K = weight_K  # not read
    elif gradient_OI is None:
        raise ValueError(f"rule '{rule}' reads the gradient, and none was given")
    else:
        gradient_K = links.take(gradient_OI)
    return CRITERIA[rule](weight_K.float(), gradient_K.float(), links)
