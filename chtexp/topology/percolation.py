"""Percolation: a neuron without any incoming or any outgoing link is inactive, and its other links go too.

Removing them may silence further neurons, so the rule is applied in a backward sweep and a forward sweep
until nothing changes (arXiv:2501.19107, the percolation step of a topology update). ANP, the active neuron
post-percolation rate, measures how much of the network is left.

The sweeps compare degrees: the links of a layer are touched only where it loses some, and its pairs never.

A neuron may feed several consecutive columns of a layer: a channel feeds the k * k columns of a convolution's
kernel, or the H * W columns of a linear map behind a flattened image. It is active while any of them has a link.

Shape legend: O outputs (rows, side U), I inputs (columns, side V), L links of one layer; P neurons at a junction
of layers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeVar, overload

import torch
from torch import Tensor

from chtexp.errors import UserError, unknown
from chtexp.topology.neighbours import Degrees, degrees, degrees_of, links

Key = Hashable
K = TypeVar("K", bound=Hashable)


class LinkList(Protocol):
    """The links of one layer."""

    @property
    def positions_K(self) -> Tensor:
        """int64 [K]: the row-major positions of the links, ascending."""

    @property
    def shape(self) -> tuple[int, int]:
        """O and I."""


@dataclass(frozen=True)
class Junction:
    """P neurons where layers meet: outputs of every layer in `rows`, inputs of every layer in `columns`.

    The neuron at position p is active only if EVERY layer of `rows` has a link in its row p and, when
    `columns` is not empty, ANY layer of `columns` has a link in its column p (in any of its columns p, where a
    neuron has several). An inactive neuron loses its links in all those layers.

    Examples: queries and keys meet in a dot product, `Junction(("q", "k"), ())`; a gated feed-forward,
    `Junction(("gate", "up"), ("down",))`; one hidden layer of an MLP, `Junction(("first",), ("second",))`.
    """

    rows: tuple[Key, ...]
    columns: tuple[Key, ...] = ()


Chain = Sequence[Key] | Junction
Masks = dict[K, Tensor] | list[Tensor] | tuple[Tensor, ...]


Columns = Mapping[Any, int]  # consecutive columns that one input neuron has, by key; not named: one
ONE_EACH: Columns = {}


@overload
def percolate(masks: Mapping[K, Tensor], chains: Sequence[Chain], columns: Columns = ...) -> dict[K, Tensor]: ...
@overload
def percolate(masks: tuple[Tensor, ...], chains: Sequence[Chain], columns: Columns = ...) -> tuple[Tensor, ...]: ...
@overload
def percolate(masks: list[Tensor], chains: Sequence[Chain], columns: Columns = ...) -> list[Tensor]: ...
def percolate(
    masks: Mapping[K, Tensor] | Sequence[Tensor], chains: Sequence[Chain], columns: Columns = ONE_EACH
) -> Masks[K]:
    """Remove the links of inactive neurons until none is left (arXiv:2501.19107).

    Args:
        masks: bool masks [O, I] of any sizes, as a mapping from keys or as a sequence (the keys are then 0,
            1, ...). Never modified.
        chains: each is a `Junction` or a sequence of keys in which each layer's outputs are the next one's
            inputs.
        columns: how many consecutive columns one input neuron of a layer has, by key, where there are several:
            `{"second": 9}` for a convolution of 3 x 3.

    Returns:
        New masks in a dict, list or tuple as they came: the largest sub-graphs without inactive neurons. No
        link is ever added, and percolating twice changes nothing.

    Raises:
        UserError: an unknown key, a mask that is not bool [O, I], a junction whose layers differ in their
            neurons, columns that cannot be shared equally.
    """
    given = {key: _Layer(links(mask), (mask.shape[0], mask.shape[1])) for key, mask in _keyed(masks).items()}
    active = percolate_links(given, chains, columns)
    return _as_given(masks, {key: _mask(active[key], layer.shape) for key, layer in given.items()})


def percolate_links(
    lists: Mapping[K, LinkList], chains: Sequence[Chain], columns: Columns = ONE_EACH
) -> dict[K, Tensor]:
    """As `percolate`, without a mask of any layer.

    Args:
        lists: the links of every layer, by key. Never modified.
        chains: as of `percolate`.
        columns: as of `percolate`.

    Returns:
        int64 by key: the row-major positions, ascending, of the links that stay.

    Raises:
        UserError: an unknown key, a junction whose layers differ in their neurons, columns that cannot be shared equally.
    """
    layers: dict[Key, _Layer] = {
        key: _Layer(given.positions_K, given.shape, columns.get(key, 1)) for key, given in lists.items()
    }
    junctions = [junction for chain in chains for junction in _junctions(chain, layers)]
    backward_then_forward = [*reversed(junctions), *junctions]
    changed = True
    while changed:
        changed = sum(_silence(junction, layers) for junction in backward_then_forward) > 0
    return {key: layers[key].positions_K for key in lists}


QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def neuron_record(layer: Tensor | Degrees) -> dict[str, float | list[int]]:
    """What can be said of the neurons on both sides of one layer.

    Args:
        layer: its bool mask [O, I], or its degrees.

    Returns:
        `active_inputs`, `active_outputs`: the share, in [0, 1], that has links. `input_degrees`, `output_degrees`: lowest
        degree, lower quartile, median, upper quartile and highest (each the degree of some neuron).
    """
    outputs, inputs = degrees(layer) if isinstance(layer, Tensor) else layer
    sides = {"input": inputs.float(), "output": outputs.float()}
    places = torch.tensor(QUARTILES, device=inputs.device)
    parts = [part for side in sides.values() for part in (side.count_nonzero()[None], _at(side, places))]
    numbers = torch.cat(parts).tolist()  # one look at the device
    record: dict[str, float | list[int]] = {}
    for name, side in sides.items():
        active, *quartiles = numbers[: 1 + len(QUARTILES)]
        numbers = numbers[1 + len(QUARTILES) :]
        record |= {f"active_{name}s": active / side.numel(), f"{name}_degrees": [int(number) for number in quartiles]}
    return record


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Of sorted `values` those that stand at these shares of the way through them."""
    return values.sort().values[(places * (values.numel() - 1)).round().long()]


def anp(masks: Mapping[K, Tensor] | Sequence[Tensor], columns: Columns = ONE_EACH) -> float:
    """Active neuron post-percolation rate, in [0, 1]: neurons with links / all neurons (arXiv:2501.19107).

    Args:
        masks: bool masks [O, I] in the order of the layers. Counted are the input side of every layer and the
            output side of the last one.
        columns: as of `percolate`.

    Raises:
        UserError: no mask at all, a mask that is not bool [O, I], columns that cannot be shared equally.
    """
    layers = [degrees(mask).of_neurons(columns.get(key, 1)) for key, mask in _keyed(masks).items()]
    if not layers:
        raise UserError("anp needs at least one mask, got none")
    return active_rate(layers)


def active_rate(layers: Sequence[Degrees]) -> float:
    """As `anp`, from the degrees of at least one layer."""
    sides = [layer.inputs for layer in layers] + [layers[-1].outputs]
    return sum(int(side.count_nonzero()) for side in sides) / sum(side.numel() for side in sides)


class _Layer:
    """The links of a layer on their way down, and the degrees of its neurons (N inputs, of `columns` columns each)."""

    def __init__(self, positions_K: Tensor, shape: tuple[int, int], columns: int = 1) -> None:
        self.positions_K, self.shape, self.columns = positions_K, shape, columns
        self.degree_O, self.degree_N = self._degrees()

    def _degrees(self) -> Degrees:
        return degrees_of(self.positions_K, self.shape).of_neurons(self.columns)

    def silence_rows(self, inactive_O: Tensor) -> bool:
        """Take the links of these rows. True if there were any."""
        doomed_O = inactive_O & (self.degree_O > 0)
        return bool(doomed_O.any()) and self._take(doomed_O[self.positions_K // self.shape[1]])

    def silence_columns(self, inactive_N: Tensor) -> bool:
        """Take the links of these neurons' columns. True if there were any."""
        doomed_N = inactive_N & (self.degree_N > 0)
        return bool(doomed_N.any()) and self._take(doomed_N[self.positions_K % self.shape[1] // self.columns])

    def _take(self, doomed_K: Tensor) -> bool:
        self.positions_K = self.positions_K[~doomed_K]
        self.degree_O, self.degree_N = self._degrees()
        return True


def _mask(positions_K: Tensor, shape: tuple[int, int]) -> Tensor:
    mask_OI = torch.zeros(shape, dtype=torch.bool, device=positions_K.device)
    mask_OI.view(-1)[positions_K] = True
    return mask_OI


def _silence(junction: Junction, layers: Mapping[Key, _Layer]) -> bool:
    """Take the links of the junction's inactive neurons. True if there were any."""
    rows, columns = [layers[key] for key in junction.rows], [layers[key] for key in junction.columns]
    active_P = torch.stack([layer.degree_O > 0 for layer in rows]).all(0)
    if columns:
        active_P &= torch.stack([layer.degree_N > 0 for layer in columns]).any(0)
    silenced = [layer.silence_rows(~active_P) for layer in rows]
    silenced += [layer.silence_columns(~active_P) for layer in columns]
    return any(silenced)


def junctions_of(chain: Chain) -> list[Junction]:
    """The junctions of a chain: itself, or one between any two layers that follow each other.

    Raises:
        UserError: the chain is a text.
    """
    if isinstance(chain, str):
        raise UserError(f"a chain must be a Junction or a sequence of keys, got the text '{chain}'")
    if isinstance(chain, Junction):
        return [chain]
    return [Junction((layer,), (following,)) for layer, following in pairwise(chain)]


def _junctions(chain: Chain, layers: Mapping[Key, _Layer]) -> list[Junction]:
    """The junctions of a chain, checked."""
    junctions = junctions_of(chain)
    keys = (*chain.rows, *chain.columns) if isinstance(chain, Junction) else tuple(chain)
    for key in keys:
        if key not in layers:
            raise unknown("layer in a chain", key, layers)
    for junction in junctions:
        _check_sizes(junction, layers)
    return junctions


def _check_sizes(junction: Junction, layers: Mapping[Key, _Layer]) -> None:
    if not junction.rows:
        raise UserError(f"{junction} has no rows; name at least one layer that ends there")
    sizes = {f"outputs of {key}": layers[key].shape[0] for key in junction.rows}
    sizes |= {f"inputs of {key}": layers[key].degree_N.numel() for key in junction.columns}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{side} = {size}" for side, size in sizes.items())
        raise UserError(f"layers that meet must have the same number of neurons, got {listed}")


def _keyed(masks: Mapping[K, Tensor] | Sequence[Tensor]) -> dict[Key, Tensor]:
    pairs = masks.items() if isinstance(masks, Mapping) else enumerate(masks)
    layers: dict[Key, Tensor] = {key: mask for key, mask in pairs}  # noqa: C416
    for key, mask in layers.items():
        if mask.dim() != 2 or mask.dtype != torch.bool:
            raise UserError(f"mask {key} must be bool [O, I], got {mask.dtype} {list(mask.shape)}")
    return layers


def _as_given(masks: Mapping[K, Tensor] | Sequence[Tensor], layers: Mapping[Key, Tensor]) -> Masks[K]:
    if isinstance(masks, Mapping):
        return {key: layers[key] for key in masks}
    return tuple(layers.values()) if isinstance(masks, tuple) else list(layers.values())
