"""Rules of plug-ins that score links for removal, and pairs for regrowth: called with what they read, their scores checked.

Shapes: O outputs, I inputs, K links, in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from chtexp.config.plugged import PluginFailed, Registered
from chtexp.sparse.links import Links


@dataclass(frozen=True)
class Readable:
    """What a rule may read of a layer before an update.

    Attributes:
        links: the links.
        weights: makes their weights, [K] float.
        gradient_OI: [O, I] float, the loss's gradient with respect to every pair; None where no rule of the method reads it.
        generator: makes a generator for the rule's own draws, from the seed of the run, the layer and the step.
    """

    links: Links
    weights: Callable[[], Tensor]
    gradient_OI: Tensor | None
    generator: Callable[[], torch.Generator]

    def by_name(self) -> dict[str, Callable[[], object]]:
        """Everything by the name of the argument that reads it: copies, made when they are read, which a rule may change."""
        return {
            "mask_OI": self.links.mask,
            "links": lambda: self.links,
            "weight_K": lambda: self.weights().float().clone(),
            "weight_OI": self._matrix,
            "gradient_OI": self._gradient,
            "gradient_K": lambda: self.links.take(self._gradient()),
            "generator": self.generator,
        }

    def _matrix(self) -> Tensor:
        weight_K = self.weights().float()
        weight_OI = torch.zeros(self.links.shape, device=weight_K.device)
        self.links.put(weight_OI, weight_K)
        return weight_OI

    def _gradient(self) -> Tensor:
        assert self.gradient_OI is not None  # `Method.needs_gradient` asks for it
        return self.gradient_OI.float().clone()


def scores_of_links(own: Registered, parameters: Mapping[str, object], readable: Readable) -> Tensor:
    """Score links for removal by a plug-in's rule.

    Args:
        own: the rule.
        parameters: that the configuration sets.
        readable: the layer.

    Returns:
        [K] float32, at least 0; links of low score are removed.

    Raises:
        PluginFailed: the scores are not one finite number from 0 on for every link.
    """
    links = readable.links
    score = _checked(own, own.call(parameters, readable.by_name()), [(len(links),), links.shape])
    return links.take(score) if score.shape == links.shape else score


def scores_of_pairs(own: Registered, parameters: Mapping[str, object], readable: Readable) -> Tensor:
    """Score pairs for regrowth by a plug-in's rule.

    Args:
        own: the rule.
        parameters: that the configuration sets.
        readable: the layer.

    Returns:
        [O, I] float32, at least 0; pairs of high score are grown. Scores of present links are not read.

    Raises:
        PluginFailed: the scores are not one finite number from 0 on for every pair.
    """
    return _checked(own, own.call(parameters, readable.by_name()), [readable.links.shape])


def _checked(own: Registered, score: object, shapes: list[tuple[int, ...]]) -> Tensor:
    """A rule's scores, float32: one that is wrong would change the topology in silence."""
    if not isinstance(score, Tensor) or tuple(score.shape) not in shapes:
        said = f"a tensor {list(score.shape)}" if isinstance(score, Tensor) else type(score).__name__
        raise PluginFailed(
            f"{own.title} must return scores {' or '.join(str(list(one)) for one in shapes)}, not {said}"
        )
    score = score.detach().float()
    if not bool((score >= 0).all() & score.isfinite().all()):
        raise PluginFailed(f"{own.title} must return finite scores from 0 on, not {_worst(score)}")
    return score


def _worst(score: Tensor) -> float:
    strange = score[~score.isfinite()]
    return float(strange[0] if strange.numel() else score.min())
