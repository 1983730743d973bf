"""Scores of absent links for regrowth: high means grow (arXiv:2501.19107, regrowth scores).

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from chtexp.topology import CH_RULES, ch_scores

GrowthScore = Callable[[Tensor, Tensor | None], Tensor]


def gradient(mask_OI: Tensor, gradient_OI: Tensor | None) -> Tensor:
    """Score pairs by `gradient`: |g|, the loss's gradient with respect to all weights, absent ones included (RigL).

    Args:
        mask_OI: [O, I] bool; not read.
        gradient_OI: [O, I] float, the loss's dense gradient.

    Returns:
        [O, I] float32, at least 0.
    """
    assert gradient_OI is not None
    return gradient_OI.abs().float()


def _link_prediction(rule: str, mask_OI: Tensor, gradient_OI: Tensor | None) -> Tensor:
    return ch_scores(mask_OI, rule)


# From the mask [O, I] and, for the rules in READ_GRADIENT, the loss's dense gradient [O, I], to scores [O, I], float32, at least
# 0. The scores of present links are not read. `random` needs no score.
GROWTH: dict[str, GrowthScore] = {
    "gradient": gradient,
    **{rule: partial(_link_prediction, rule) for rule in CH_RULES},
}
