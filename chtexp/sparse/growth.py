"""Scores of free pairs for regrowth: high means grow (arXiv:2501.19107, regrowth scores).

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from chtexp.topology import CH_RULES, ch_scores

GrowthScore = Callable[[Tensor, Tensor | None], Tensor]


def gradient(mask_OI: Tensor, gradient_OI: Tensor | None) -> Tensor:
    """`gradient`: |g| of the loss, where the link is absent, too (RigL)."""
    assert gradient_OI is not None
    return gradient_OI.abs().float()


def _link_prediction(rule: str, mask_OI: Tensor, gradient_OI: Tensor | None) -> Tensor:
    return ch_scores(mask_OI, rule)


# From the mask [O, I] and, of GRADIENT_GROWTH, the loss's dense gradient [O, I], to scores [O, I], float32, at least 0; those of
# links are not read. `random` needs no score.
GROWTH: dict[str, GrowthScore] = {
    "gradient": gradient,
    **{rule: partial(_link_prediction, rule) for rule in CH_RULES},
}
GRADIENT_GROWTH = {"gradient"}
