"""Bipartite Receptive Field: every output neuron looks at inputs near its own position (arXiv:2501.19107).

Output j draws its degree k_j, then k_j distinct inputs i without replacement with weight (1 +
d_ij)^(-(1-r)/r), where d_ij is the distance, on the ring of the inputs, between i and the position j * I / O
of the output on that ring. The randomness r goes from the k_j nearest inputs (r = 0) to an Erdos-Renyi graph
with that degree sequence (r = 1). The sequence of the output degrees is what the model conserves.

Shape legend: O outputs (rows, side U), I inputs (columns, side V), R the outputs of one chunk, K their
largest degree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError, unknown
from chtexp.topology.selection import uniform_links

DEGREES = ("fixed", "uniform", "multinomial")
_CHUNK_OF_PAIRS = 1 << 22
_STEEPEST = 1e9  # beyond this exponent only inputs at one distance compete, and noise would drown in float64


def is_fraction(value: object) -> bool:
    """Whether `value` is a number in [0, 1]."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def brf(
    out_features: int,
    in_features: int,
    links: int,
    generator: torch.Generator,
    *,
    r: float,
    degree: str = "fixed",
) -> Tensor:
    """Bipartite Receptive Field (arXiv:2501.19107).

    Args:
        out_features: O.
        in_features: I.
        links: the budget, at most O * I.
        generator: decides the draws; the mask lives on its device.
        r: randomness, in [0, 1].
        degree: 'fixed' gives equal output degrees up to one, the larger ones spread evenly over the outputs
            ([choice]: no randomness, so that r = 0 is deterministic). 'uniform' draws them from 1..2k-1, k
            the mean, and then moves the sum to the budget by steps of one on random outputs, inside that
            range. [choice] Where 1..2k-1 does not exist, the symmetric range nearest to it is used: 2k-I..I
            for k > I/2, 0..1 for k < 1. 'multinomial', as the paper's released code, gives every output a link
            and throws the others on outputs at random, which spreads degrees far less: by about sqrt(k), where
            'uniform' has k / sqrt(3). [choice] Links that a full output cannot hold are thrown again; where
            there are fewer links than outputs, all of them are thrown.

    Returns:
        [O, I] bool with exactly `links` True. At r = 0, of two inputs equally near the one ahead on the ring
        wins.

    Raises:
        UserError: r outside [0, 1], an unknown degree distribution.
    """
    if not is_fraction(r):
        raise UserError(f"brf r must be a number in [0, 1], got {r!r}")
    if degree not in DEGREES:
        raise unknown("brf degree", degree, DEGREES)
    if degree == "fixed":
        degree_O = even_degrees(out_features, links, generator.device)
    elif degree == "uniform":
        degree_O = _uniform_degrees(out_features, in_features, links, generator)
    else:
        degree_O = _multinomial_degrees(out_features, in_features, links, generator)
    mask_OI = torch.zeros(out_features, in_features, dtype=torch.bool, device=generator.device)
    for rows_R in torch.arange(out_features, device=generator.device).split(-(-_CHUNK_OF_PAIRS // in_features)):
        keys_RI = _keys(rows_R, out_features, in_features, r, generator)
        mask_OI[rows_R] = _largest_per_row(keys_RI, degree_O[rows_R])
    return mask_OI


def even_degrees(nodes: int, links: int, device: torch.device) -> Tensor:
    """LongTensor [nodes] summing to `links`, equal up to one, the larger ones spread evenly."""
    ends = torch.arange(nodes + 1, device=device) * links // nodes
    return ends.diff()


def _keys(rows_R: Tensor, out_features: int, in_features: int, r: float, generator: torch.Generator) -> Tensor:
    """float64 [R, I]: each output takes the inputs with its largest keys (Gumbel top-k for r > 0)."""
    ring = in_features * out_features
    ahead_RI = (torch.arange(in_features, device=rows_R.device) * out_features - rows_R[:, None] * in_features) % ring
    distance_RI = torch.minimum(ahead_RI, ring - ahead_RI)  # in units of 1 / O, hence exact integers
    if r == 0:
        behind_RI = ahead_RI > distance_RI
        return -(2 * distance_RI + behind_RI).double()
    exponent = min((1 - r) / r, _STEEPEST)
    noise_RI = torch.empty(ahead_RI.shape, dtype=torch.float64, device=rows_R.device)
    gumbel_RI = noise_RI.exponential_(generator=generator).clamp_min_(1e-300).log_().neg_()
    return gumbel_RI.sub_(torch.log1p(distance_RI.double() / out_features), alpha=exponent)


def _largest_per_row(keys_RI: Tensor, degree_R: Tensor) -> Tensor:
    """bool [R, I]: in each row the `degree` largest keys."""
    columns_RK = keys_RI.topk(int(degree_R.max()), dim=1).indices
    wanted_RK = torch.arange(columns_RK.shape[1], device=keys_RI.device) < degree_R[:, None]
    return torch.zeros_like(keys_RI, dtype=torch.bool).scatter_(1, columns_RK, wanted_RK)


def _uniform_degrees(out_features: int, in_features: int, links: int, generator: torch.Generator) -> Tensor:
    """LongTensor [O]: uniform degrees around the mean links / O, brought to the sum `links`."""
    low, high = degree_range(out_features, in_features, links)
    degree_O = torch.randint(low, high + 1, (out_features,), generator=generator, device=generator.device)
    while excess := int(degree_O.sum()) - links:
        room_O = degree_O > low if excess > 0 else degree_O < high
        count = min(abs(excess), int(room_O.sum()))
        moved_O = uniform_links(room_O[None], count, generator=generator)[0]
        degree_O = degree_O - moved_O.long() if excess > 0 else degree_O + moved_O.long()
    return degree_O


def _multinomial_degrees(out_features: int, in_features: int, links: int, generator: torch.Generator) -> Tensor:
    """LongTensor [O]: a link each, where there are enough, and the others on random outputs, up to I on each."""
    degree_O = torch.full((out_features,), int(links >= out_features), device=generator.device)
    while missing := links - int(degree_O.sum()):
        open_N = (degree_O < in_features).nonzero().flatten()
        thrown = torch.randint(open_N.numel(), (missing,), generator=generator, device=generator.device)
        degree_O = (degree_O + open_N[thrown].bincount(minlength=out_features)).clamp_max(in_features)
    return degree_O


def degree_range(out_features: int, in_features: int, links: int) -> tuple[int, int]:
    """The range of `degree='uniform'`: 1..2k-1 for the mean k = links / O, where that exists."""
    if links < out_features:
        return 0, 1
    low = max(1, 2 * links // out_features - in_features)
    high = min(in_features, -(-2 * links // out_features) - 1)
    return low, high
