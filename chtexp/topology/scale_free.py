"""Bipartite Scale Free: a Barabasi-Albert graph made bipartite (arXiv:2501.19107).

- Growth: O + I nodes arrive one after the other and attach to earlier nodes with probability proportional to
  their degree, which gives degrees a heavy tail.
- Split: the nodes are dealt to the two sides at random.
- Rewiring: a link inside U and a link inside V are exchanged for two links across, (u1, u2), (v1, v2) for
  (u1, v1), (u2, v2), which keeps all four degrees.

Shape legend: O outputs (rows, side U), I inputs (columns, side V), L links, S pairs still to be linked.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chtexp.errors import UserError, unknown
from chtexp.system.kernels_cache import njit
from chtexp.topology.receptive_field import even_degrees
from chtexp.topology.selection import gumbel_top_k, uniform_links

RESORTS = ("none", "rigid", "soft")
_SWAP_TRIES = 200

Array = NDArray[np.int64]


def bsf(
    out_features: int,
    in_features: int,
    links: int,
    generator: torch.Generator,
    *,
    equal_partition: bool = False,
    resort: str = "none",
    previous_output_degrees: Tensor | None = None,
) -> Tensor:
    """Bipartite Scale Free (arXiv:2501.19107).

    How the total is made exact [choice]: a Barabasi-Albert graph has no free choice of its number of links,
    so every arrival attaches to m earlier nodes (to all of them while fewer exist), m the largest number that
    stays within the budget, and the links still missing are given one each to random later arrivals. The
    graph then has exactly `links` links, and the exchange keeps both that number and every degree. Degrees
    change in two cases only:

    - one side holds more inner links than the other, always so when O and I differ much. Each surplus link
      keeps one of its ends, at random; the other end loses this link to a node across drawn in proportion to
      its degree.
    - a pair that is linked already is exchanged with a random link, which keeps degrees; where that fails too
      (a node linked to nearly the whole other side), the link goes to a uniformly random free pair.

    Args:
        out_features: O.
        in_features: I.
        links: the budget, at most O * I.
        generator: decides everything; the mask lives on its device.
        equal_partition: move links along their rows until the degrees of the inputs are equal up to one;
            output degrees are kept. For the first layer, whose inputs have no hubs of their own.
        resort: permute the columns so that degree ranks agree on both sides of the hidden layer before.
            'rigid': the column with the k-th largest degree goes to the neuron with the k-th largest incoming
            degree. 'soft': the neurons in that order each get a column drawn without replacement in
            proportion to its degree.
        previous_output_degrees: LongTensor [I], the row degrees of the layer before; None for a first layer,
            whose columns are features and stay where they are.

    Returns:
        [O, I] bool with exactly `links` True.

    Raises:
        UserError: an unknown resort, degrees that are not one number for each input.
    """
    if resort not in RESORTS:
        raise unknown("bsf resort", resort, RESORTS)
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=generator.device))
    rng = np.random.default_rng(seed)
    graph_L2 = _grow(_attachments(out_features + in_features, links, rng), links, rng)
    mask = _across(rng.permutation(out_features + in_features)[graph_L2], out_features, in_features, rng)
    mask_OI = torch.from_numpy(mask).to(generator.device)
    mask_OI |= uniform_links(~mask_OI, links - int(mask_OI.sum()), generator=generator)
    if equal_partition:
        mask_OI = _equal_columns(mask_OI, rng)
    if resort == "none" or previous_output_degrees is None:
        return mask_OI
    return _resorted(mask_OI, previous_output_degrees, resort, generator)


def _attachments(nodes: int, links: int, rng: np.random.Generator) -> Array:
    """[nodes]: how many links each arrival brings: min(t, m) or one more, `links` in all."""
    # With m links from all but the first m nodes there are nodes * m - m (m + 1) / 2: the largest such m.
    discriminant = (2 * nodes - 1) ** 2 - 8 * links
    m = (2 * nodes - 2 - math.isqrt(discriminant - 1)) // 2
    brought = np.minimum(np.arange(nodes), m)
    later = rng.permutation(np.arange(m + 1, nodes))
    brought[later[: links - int(brought.sum())]] += 1
    return brought


@njit()
def _grow(brought, links, rng):  # type: ignore[no-untyped-def]
    """[L, 2]: links of a Barabasi-Albert graph: arrival t attaches to brought[t] earlier nodes."""
    ends = np.empty(2 * links, dtype=np.int64)  # every node stands here as often as its degree
    linked_by = np.full(brought.size, -1)
    filled = 0
    for t in range(brought.size):
        earlier = filled
        for k in range(brought[t]):
            if brought[t] == t:
                s = k
            elif earlier == 0:
                s = rng.integers(0, t)
            else:
                s = ends[rng.integers(0, earlier)]
                while linked_by[s] == t:
                    s = ends[rng.integers(0, earlier)]
            linked_by[s] = t
            ends[filled] = t
            ends[filled + 1] = s
            filled += 2
    return ends.reshape(links, 2)


def _across(graph_L2: Array, out_features: int, in_features: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool [O, I]: the graph with its inner links exchanged for links across. Nodes below O are rows."""
    graph_L2 = rng.permuted(rng.permutation(graph_L2), axis=1)
    rows_in_link = (graph_L2 < out_features).sum(1)
    across_L2 = np.sort(graph_L2[rows_in_link == 1], axis=1) - [0, out_features]
    inside_u, inside_v = graph_L2[rows_in_link == 2], graph_L2[rows_in_link == 0] - out_features
    paired = min(len(inside_u), len(inside_v))
    u_S = [inside_u[:paired].ravel(), inside_u[paired:, 0]]
    v_S = [inside_v[:paired].ravel(), inside_v[paired:, 0]]
    ends_u, ends_v = graph_L2[graph_L2 < out_features], graph_L2[graph_L2 >= out_features] - out_features
    u_S.append(_preferential(ends_u, out_features, len(v_S[1]), rng))
    v_S.insert(1, _preferential(ends_v, in_features, len(u_S[1]), rng))
    mask = np.zeros((out_features, in_features), dtype=np.bool_)
    _link(mask, across_L2, np.concatenate(u_S), np.concatenate(v_S), _SWAP_TRIES, rng)
    return mask


def _preferential(ends: Array, nodes: int, count: int, rng: np.random.Generator) -> Array:
    """[count] nodes of one side in proportion to their degree: every end of a link is as likely."""
    return rng.choice(ends, count) if ends.size else rng.integers(0, nodes, count)


@njit()
def _link(mask, across_L2, u_S, v_S, tries, rng):  # type: ignore[no-untyped-def]
    """Link the pairs (u, v) in place; a pair already linked swaps ends with a random link."""
    u_L = np.concatenate((across_L2[:, 0], u_S))
    v_L = np.concatenate((across_L2[:, 1], v_S))
    placed = across_L2.shape[0]
    for k in range(placed):
        mask[u_L[k], v_L[k]] = True
    for s in range(u_S.size):
        u, v = u_S[s], v_S[s]
        free = not mask[u, v]
        for _ in range(tries):
            if free or placed == 0:
                break
            k = rng.integers(0, placed)
            free = not mask[u, v_L[k]] and not mask[u_L[k], v]
            if free:
                mask[u_L[k], v_L[k]] = False
                mask[u, v_L[k]] = True
                u, u_L[k] = u_L[k], u
        if free:
            mask[u, v] = True
            u_L[placed], v_L[placed] = u, v
            placed += 1


def _equal_columns(mask_OI: Tensor, rng: np.random.Generator) -> Tensor:
    """Move links along their rows until column degrees are equal up to one."""
    degree_I = mask_OI.sum(0)
    target_I = torch.empty_like(degree_I)
    even_I = even_degrees(degree_I.numel(), int(degree_I.sum()), degree_I.device)
    target_I[degree_I.argsort(descending=True, stable=True)] = even_I.sort(descending=True).values
    excess_I = (degree_I - target_I).cpu().numpy()
    columns = np.arange(excess_I.size)
    giving = np.repeat(columns, excess_I.clip(min=0))
    taking = rng.permutation(np.repeat(columns, (-excess_I).clip(min=0)))
    mask = np.array(mask_OI.cpu().numpy(), order="F")
    _move_along_rows(mask, giving, taking, rng.integers(0, mask.shape[0], giving.size))
    return torch.from_numpy(np.ascontiguousarray(mask)).to(mask_OI.device)


@njit()
def _move_along_rows(mask, giving, taking, first_row):  # type: ignore[no-untyped-def]
    """Move one link from each giving to its taking column, in the next row that allows it."""
    rows = mask.shape[0]
    for k in range(giving.size):
        row = first_row[k]  # one that allows it exists: the giving column has more links than the taking one
        while not mask[row, giving[k]] or mask[row, taking[k]]:
            row = (row + 1) % rows
        mask[row, giving[k]] = False
        mask[row, taking[k]] = True


def _resorted(mask_OI: Tensor, previous_I: Tensor, resort: str, generator: torch.Generator) -> Tensor:
    """The mask with its columns permuted to follow the ranks of the previous layer's output degrees."""
    inputs = mask_OI.shape[1]
    if not isinstance(previous_I, Tensor) or previous_I.shape != (inputs,):
        given = list(previous_I.shape) if isinstance(previous_I, Tensor) else type(previous_I).__name__
        raise UserError(f"bsf previous_output_degrees must be a tensor [I] = [{inputs}], got {given}")
    degree_I = mask_OI.sum(0)
    if resort == "rigid":
        columns = degree_I.argsort(descending=True, stable=True)
    else:
        columns = gumbel_top_k(degree_I.double().log(), inputs, generator=generator)
    neurons = previous_I.to(mask_OI.device).argsort(descending=True, stable=True)
    resorted_OI = torch.empty_like(mask_OI)
    resorted_OI[:, neurons] = mask_OI[:, columns]
    return resorted_OI
