"""Percolation: a neuron without any incoming or any outgoing link is inactive, and its other links go too.

Removing them may silence further neurons, so the rule is applied in a backward sweep and a forward sweep
until nothing changes (arXiv:2501.19107, the percolation step of a topology update). ANP, the active neuron
post-percolation rate, measures how much of the network is left.

Shape legend: O outputs (rows, side U), I inputs (columns, side V) of one layer; P neurons at a junction of
layers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar, overload

import torch
from torch import Tensor

from chtexp.errors import UserError, unknown

Key = Hashable
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Junction:
    """P neurons where layers meet: outputs of every layer in `rows`, inputs of every layer in `columns`.

    The neuron at position p is active only if EVERY layer of `rows` has a link in its row p and, when
    `columns` is not empty, ANY layer of `columns` has a link in its column p. An inactive neuron loses its
    links in all those layers.

    Examples: queries and keys meet in a dot product, `Junction(("q", "k"), ())`; a gated feed-forward,
    `Junction(("gate", "up"), ("down",))`; one hidden layer of an MLP, `Junction(("first",), ("second",))`.
    """

    rows: tuple[Key, ...]
    columns: tuple[Key, ...] = ()


Chain = Sequence[Key] | Junction


@overload
def percolate(masks: Mapping[K, Tensor], chains: Sequence[Chain]) -> dict[K, Tensor]: ...
@overload
def percolate(masks: tuple[Tensor, ...], chains: Sequence[Chain]) -> tuple[Tensor, ...]: ...
@overload
def percolate(masks: list[Tensor], chains: Sequence[Chain]) -> list[Tensor]: ...
def percolate(masks: Any, chains: Sequence[Chain]) -> Any:
    """Remove the links of inactive neurons until none is left (arXiv:2501.19107).

    Args:
        masks: bool masks [O, I] of any sizes, as a mapping from keys or as a sequence (the keys are then 0,
            1, ...). Never modified.
        chains: each is a `Junction` or a sequence of keys in which each layer's outputs are the next one's
            inputs.

    Returns:
        New masks in a dict, list or tuple as they came: the largest sub-graphs without inactive neurons. No
        link is ever added, and percolating twice changes nothing.

    Raises:
        UserError: an unknown key, a mask that is not bool [O, I], a junction whose layers differ in their
            neurons.
    """
    layers = {key: mask.clone() for key, mask in _keyed(masks).items()}
    junctions = [junction for chain in chains for junction in _junctions(chain, layers)]
    backward_then_forward = [*reversed(junctions), *junctions]
    changed = True
    while changed:
        changed = sum(_silence(junction, layers) for junction in backward_then_forward) > 0
    return _as_given(masks, layers)


def anp(masks: Mapping[Any, Tensor] | Sequence[Tensor]) -> float:
    """Active neuron post-percolation rate, in [0, 1]: neurons with links / all neurons (arXiv:2501.19107).

    Args:
        masks: bool masks [O, I] in the order of the layers. Counted are the input side of every layer and the
            output side of the last one.

    Raises:
        UserError: no mask at all, a mask that is not bool [O, I].
    """
    layers = list(_keyed(masks).values())
    if not layers:
        raise UserError("anp needs at least one mask, got none")
    sides = [layer.any(0) for layer in layers] + [layers[-1].any(1)]
    return sum(int(side.sum()) for side in sides) / sum(side.numel() for side in sides)


def _silence(junction: Junction, layers: Mapping[Key, Tensor]) -> bool:
    """Take the links of the junction's inactive neurons, in place. True if there were any."""
    rows, columns = [layers[key] for key in junction.rows], [layers[key] for key in junction.columns]
    active_P = torch.stack([layer.any(1) for layer in rows]).all(0)
    if columns:
        active_P &= torch.stack([layer.any(0) for layer in columns]).any(0)
    views = rows + [layer.T for layer in columns]
    before = sum(int(view.sum()) for view in views)
    for view in views:
        view &= active_P[:, None]
    return sum(int(view.sum()) for view in views) < before


def _junctions(chain: Chain, layers: Mapping[Key, Tensor]) -> list[Junction]:
    """The junctions of a chain, checked."""
    if isinstance(chain, str):
        raise UserError(f"a chain must be a Junction or a sequence of keys, got the text '{chain}'")
    keys = (*chain.rows, *chain.columns) if isinstance(chain, Junction) else tuple(chain)
    for key in keys:
        if key not in layers:
            raise unknown("layer in a chain", key, layers)
    if isinstance(chain, Junction):
        junctions = [chain]
    else:
        junctions = [Junction((layer,), (following,)) for layer, following in pairwise(keys)]
    for junction in junctions:
        _check_sizes(junction, layers)
    return junctions


def _check_sizes(junction: Junction, layers: Mapping[Key, Tensor]) -> None:
    if not junction.rows:
        raise UserError(f"{junction} has no rows; name at least one layer that ends there")
    sizes = {f"outputs of {key}": layers[key].shape[0] for key in junction.rows}
    sizes |= {f"inputs of {key}": layers[key].shape[1] for key in junction.columns}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{side} = {size}" for side, size in sizes.items())
        raise UserError(f"layers that meet must have the same number of neurons, got {listed}")


def _keyed(masks: Mapping[Any, Tensor] | Sequence[Tensor]) -> dict[Key, Tensor]:
    layers: dict[Key, Tensor] = dict(masks.items() if isinstance(masks, Mapping) else enumerate(masks))
    for key, mask in layers.items():
        if mask.dim() != 2 or mask.dtype != torch.bool:
            raise UserError(f"mask {key} must be bool [O, I], got {mask.dtype} {list(mask.shape)}")
    return layers


def _as_given(masks: Any, layers: dict[Key, Tensor]) -> Any:
    if isinstance(masks, Mapping):
        return layers
    return tuple(layers.values()) if isinstance(masks, tuple) else list(layers.values())
