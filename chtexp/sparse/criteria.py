"""Scores of links for removal and pruning: high means keep (arXiv:2501.19107, removal criteria; Table 12).

Shapes: O outputs, I inputs. Absent links have weight zero and their scores are never read.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chtexp.errors import unknown

TINY = 1e-12  # keeps the two sensitivities finite where a weight or a gradient is exactly zero


def magnitude(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`wm`: |W|."""
    return weight_OI.abs()


def relative_importance(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`ri`: |W_ij| / sum of row i + |W_ij| / sum of column j (a row or column without weight counts 0)."""
    size_OI = weight_OI.abs()
    rows_O1, columns_1I = size_OI.sum(1, keepdim=True), size_OI.sum(0, keepdim=True)
    return size_OI / rows_O1.clamp_min(TINY) + size_OI / columns_1I.clamp_min(TINY)


def sign_balanced(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`set`: the rank of |W| among the links of the same sign, in (0, 1].

    Keeping the highest of these ranks removes the smallest positive and the largest negative weights in equal
    shares, as the original SET does (Mocanu et al., 2018).
    """
    score_OI = torch.zeros_like(weight_OI)
    for side_OI in (weight_OI > 0, weight_OI < 0):
        size_K = weight_OI[side_OI].abs()
        rank_K = size_K.argsort().argsort()
        score_OI[side_OI] = (rank_K + 1).to(score_OI.dtype) / max(size_K.numel(), 1)
    return score_OI


def mest(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`mest`: |W| + 0.01 |g| (Yuan et al., 2021)."""
    return weight_OI.abs() + 0.01 * gradient_OI.abs()


def snip(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`snip`: |W g| (Lee et al., 2019)."""
    return (weight_OI * gradient_OI).abs()


def sensitivity(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`sensitivity`: |g| / |W|."""
    return gradient_OI.abs() / weight_OI.abs().clamp_min(TINY)


def reciprocal_sensitivity(weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
    """`rsensitivity`: |W| / |g|."""
    return weight_OI.abs() / gradient_OI.abs().clamp_min(TINY)


CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "wm": magnitude,
    "ri": relative_importance,
    "set": sign_balanced,
    "mest": mest,
    "snip": snip,
    "sensitivity": sensitivity,
    "rsensitivity": reciprocal_sensitivity,
}
GRADIENT_CRITERIA = {"mest", "snip", "sensitivity", "rsensitivity"}


def link_scores(rule: str, weight_OI: Tensor, gradient_OI: Tensor | None) -> Tensor:
    """Scores [O, I] of the links by `rule`, a name in CRITERIA, in float32.

    gradient_OI: the loss's dense gradient; only the rules in GRADIENT_CRITERIA read it.
    """
    if rule not in CRITERIA:
        raise unknown("removal rule", rule, CRITERIA)
    if gradient_OI is None:
        if rule in GRADIENT_CRITERIA:
            raise ValueError(f"rule '{rule}' reads the gradient, and none was given")
        gradient_OI = weight_OI  # not read
    return CRITERIA[rule](weight_OI.float(), gradient_OI.float())
