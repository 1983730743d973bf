"""Bipartite Small World: a ring lattice with a share of its links rewired (arXiv:2501.19107).

Shape legend: O outputs (rows, side U), I inputs (columns, side V).
"""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.topology.receptive_field import brf, is_fraction
from chtexp.topology.selection import uniform_links


def bsw(out_features: int, in_features: int, links: int, generator: torch.Generator, *, beta: float) -> Tensor:
    """Bipartite Small World (arXiv:2501.19107).

    Every output is linked to its nearest inputs, exactly as `brf` with r = 0 and fixed degrees. Each link is
    then rewired with probability beta to a uniformly random free pair of the whole layer. [choice] All
    rewired links move at once and to pairs that were free in the lattice, so that none falls back to where it
    was; where the lattice has fewer free pairs than that, as many links move as there are free pairs.

    Args:
        out_features: O.
        in_features: I.
        links: the budget, at most O * I.
        generator: decides the rewiring; the mask lives on its device.
        beta: probability of a rewiring, in [0, 1].

    Returns:
        [O, I] bool with exactly `links` True.

    Raises:
        UserError: beta outside [0, 1].
    """
    if not is_fraction(beta):
        raise UserError(f"bsw beta must be a number in [0, 1], got {beta!r}")
    lattice_OI = brf(out_features, in_features, links, generator, r=0.0)
    tossed = torch.rand(links, generator=generator, device=generator.device) < beta
    rewired = min(int(tossed.sum()), lattice_OI.numel() - links)
    leaving_OI = uniform_links(lattice_OI, rewired, generator=generator)
    arriving_OI = uniform_links(~lattice_OI, rewired, generator=generator)
    return lattice_OI ^ leaving_OI ^ arriving_OI
