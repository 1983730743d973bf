"""Cannistraci-Hebb link prediction: how likely an absent link of a bipartite graph is.

The rules CH2, CH3 and CH3.1 on paths of length three (L3), node based and path based: the topological
regrowth scores of CHT, CHTs and CHTss (arXiv:2501.19107). The pair (u, v) is judged by its local community:
the intermediate nodes of the paths u - z1 - z2 - v. For a node z of that community

    i_z counts its links into the community,
    e_z counts its links that go neither there nor to u or v.

In a bipartite graph both counts factor. The neighbours of z2 (in U) that lie on a path are the inputs it
shares with u, whatever v is: i = UU[u, z2] with UU = A A^T, and e = d_z2 - 1 - i. The same holds for z1 (in
V), v and VV = A^T A. One table per side therefore holds every weight a node can have.

Shape legend: O outputs (rows, side U, nodes u and z2), I inputs (columns, side V, nodes v and z1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError, unknown
from chtexp.topology.neighbours import Neighbours, neighbours
from chtexp.topology.nodes import at_most_near, node_scores
from chtexp.topology.paths import chunked_path_scores, path_scores
from chtexp.topology.weights import FORMULAS, RULES, Formula

CH_RULES: tuple[str, ...] = tuple(f"{rule}_{kind}" for kind in ("l3n", "l3p") for rule in RULES)
# What one step along sparse lists costs in multiply-adds of a product of matrices. Measured: both ways took the same
# time for random masks of 1024 x 1024 and 1568 x 1568 at 5%, on one thread and on two.
_STEP = 25


@torch.no_grad()
def ch_scores(mask_OI: Tensor, rule: str) -> Tensor:
    """Score every absent link by a Cannistraci-Hebb rule (arXiv:2501.19107).

    With the weight w of a community node from its links i into the community and e out of it,

        ch2:    w = (1 + i) / (1 + e)
        ch3:    w = 1 / (1 + e)
        ch3_1:  w = 1 / (1 / (1 + i) + e)

        node based, `*_l3n`:  S(u, v) = sum over the community nodes z of w_z
        path based, `*_l3p`:  S(u, v) = sum over the paths u - z1 - z2 - v of sqrt(w_z1 w_z2)

    The weight of CH3.1 is a [choice]: the source leaves its node-based form open, and this one is the square
    of its path-based factor, as it is for CH2 and CH3.

    Args:
        mask_OI: [O, I] bool, True where there is a link.
        rule: one of `CH_RULES`: ch2_l3n, ch3_l3n, ch3_1_l3n, ch2_l3p, ch3_l3p, ch3_1_l3p.

    Returns:
        [O, I] float32, no unit, >= 0, and 0 where the mask is True or no path of length three exists.
        Sums are accumulated in float64, but for node-based ones of dense masks and on a GPU, which are products
        of float32 matrices (relative error below 1e-5). Counts are exact as long as no degree reaches 2^24.

    Raises:
        UserError: an unknown rule, a mask that is not a two-dimensional bool tensor.
    """
    if rule not in CH_RULES:
        raise unknown("link prediction rule", rule, CH_RULES)
    if mask_OI.dim() != 2 or mask_OI.dtype != torch.bool:
        raise UserError(f"mask must be bool [O, I], got {mask_OI.dtype} {list(mask_OI.shape)}")
    name, _, kind = rule.rpartition("_")
    if mask_OI.device.type == "cpu":
        links = neighbours(mask_OI)
        if kind == "l3p":
            return path_scores(links, RULES.index(name))
        if _lists_are_faster(links):
            return node_scores(links, RULES.index(name))
    with torch.autocast(mask_OI.device.type, enabled=False):  # counts must not be rounded
        scores_OI = (_dense_node_scores if kind == "l3n" else _torch_path_scores)(mask_OI, FORMULAS[name])
    return scores_OI.masked_fill_(mask_OI, 0.0)


def _lists_are_faster(links: Neighbours) -> bool:
    """Whether the node-based sums take less time along lists than as products of matrices."""
    outputs, inputs = links.shape
    near_O, near_I = int(at_most_near(links).sum()), int(at_most_near(links.transposed()).sum())
    steps_times_pairs = links.of_row.numel() * (near_O * inputs + near_I * outputs)
    return _STEP * steps_times_pairs < (outputs * inputs) ** 2 * (outputs + inputs)


def _dense_node_scores(mask_OI: Tensor, weight: Formula) -> Tensor:
    links_OI = mask_OI.to(torch.float32)
    return _community_weights(links_OI, weight) @ links_OI + links_OI @ _community_weights(links_OI.T, weight).T


def _torch_path_scores(mask_OI: Tensor, weight: Formula) -> Tensor:
    links_OI = mask_OI.to(torch.float32)
    factors_OO = _community_weights(links_OI, weight).sqrt_()  # [u, z2]
    factors_II = _community_weights(links_OI.T, weight).sqrt_().T.contiguous()  # [z1, v]
    return chunked_path_scores(mask_OI, factors_OO, factors_II)


def _community_weights(links_NM: Tensor, weight: Formula) -> Tensor:
    """[N, N]: entry (a, z) is the weight of z in a community around a; 0 where they share no neighbour.

    The diagonal means nothing and is never seen: a path through u itself would need the link (u, v).
    """
    internal_NN = links_NM @ links_NM.T
    external_NN = (links_NM.sum(1) - internal_NN - 1).clamp_min_(0)
    return weight(internal_NN, external_NN).masked_fill_(internal_NN == 0, 0.0)
