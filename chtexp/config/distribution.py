"""How one overall density is distributed over layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chtexp.errors import unknown

DISTRIBUTIONS = ("uniform", "erk")


def layer_densities(shapes: Sequence[tuple[int, ...]], density: float, distribution: str) -> list[float]:
    """Distribute an overall density over layers.

    Args:
        shapes: of the layers: (outputs, inputs), or (out channels, in channels, *kernel).
        density: links / pairs of all layers together, in (0, 1].
        distribution: `uniform`, the same density everywhere; `erk`, densities proportional to (O + I) / (O I), in a
            convolution (O + I + k + k) / (O I k k), where layers that would exceed 1 are full and the others share the rest
            (Evci et al., 2020; Mocanu et al., 2018).

    Returns:
        The density of every layer, in (0, 1].

    Raises:
        UserError: an unknown distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown("distribution", distribution, DISTRIBUTIONS)
    if distribution == "uniform" or density >= 1:
        return [density] * len(shapes)
    pairs = [math.prod(shape) for shape in shapes]
    weights = [sum(shape) for shape in shapes]  # wanted links, up to one common factor
    full: set[int] = set()
    while True:
        rest = [layer for layer in range(len(shapes)) if layer not in full]
        links = density * sum(pairs) - sum(pairs[layer] for layer in full)
        factor = links / sum(weights[layer] for layer in rest)
        over = {layer for layer in rest if factor * weights[layer] > pairs[layer]}
        if not over:
            break
        full |= over
    return [1.0 if layer in full else factor * weights[layer] / pairs[layer] for layer in range(len(shapes))]
