"""How the links of a sparse layer are laid out before training: the registry of topologies.

The rules are those of arXiv:2501.19107: `er` (Erdos-Renyi), `brf` (Bipartite Receptive Field), `bsw`
(Bipartite Small World), `bsf` (Bipartite Scale Free) and `csti` (Correlated Sparse Topological
Initialisation). Every rule meets the link budget exactly, and the generator decides everything random: the
same seed gives the same mask.

Shape legend: O outputs (rows, side U), I inputs (columns, side V), F input features of the data.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from chtexp.config.plugged import PLUGGED, READABLE, Registered
from chtexp.errors import UserError, unknown
from chtexp.topology.correlation import csti
from chtexp.topology.receptive_field import brf
from chtexp.topology.scale_free import bsf
from chtexp.topology.selection import uniform_links
from chtexp.topology.small_world import bsw


def er(out_features: int, in_features: int, links: int, generator: torch.Generator) -> Tensor:
    """Erdos-Renyi: `links` pairs uniformly at random, a bool mask [O, I]."""
    every_OI = torch.ones(out_features, in_features, dtype=torch.bool, device=generator.device)
    return uniform_links(every_OI, links, generator=generator)


# A rule takes (out_features, in_features, links, generator) and its own parameters by keyword.
_RULES: dict[str, Callable[..., Tensor]] = {"er": er, "brf": brf, "bsw": bsw, "bsf": bsf, "csti": csti}


def topology_names() -> tuple[str, ...]:
    """The names that `init_mask` takes."""
    return tuple(PLUGGED.names("topology"))


def topology_parameters(name: str) -> tuple[str, ...]:
    """The parameters of its own that the rule `name` takes.

    Raises:
        UserError: an unknown rule.
    """
    if own := PLUGGED.get("topology", name):
        return (*own.reads, *own.parameters.model_fields)
    if name not in _RULES:
        raise unknown("topology", name, topology_names())
    return tuple(p.name for p in inspect.signature(_RULES[name]).parameters.values() if p.kind is p.KEYWORD_ONLY)


def link_budget(out_features: int, in_features: int, density: float) -> int:
    """The number of links of a layer: round(density * O * I).

    Args:
        out_features: O, at least 1.
        in_features: I, at least 1.
        density: links / (O * I), in (0, 1].

    Raises:
        UserError: a size below 1, a density outside (0, 1], a budget that rounds to zero.
    """
    if out_features < 1 or in_features < 1:
        raise UserError(f"a layer needs at least 1 output and 1 input, got {out_features} x {in_features}")
    if not 0 < density <= 1:
        raise UserError(f"density must be in (0, 1], got {density}")
    links = round(density * out_features * in_features)
    if links == 0:
        raise UserError(
            f"density {density:g} leaves a layer of {out_features} x {in_features} without any link; "
            "widen the layer or raise the density"
        )
    return links


def init_mask(
    name: str,
    out_features: int,
    in_features: int,
    density: float,
    *,
    generator: torch.Generator,
    **params: object,
) -> Tensor:
    """Lay out the links of a sparse layer (arXiv:2501.19107, topology initialisation).

    Args:
        name: the rule, one of `topology_names()`.
        out_features: O.
        in_features: I.
        density: links / (O * I), in (0, 1].
        generator: decides every random choice; the mask lives on its device.
        **params: what the rule takes, a plug-in's its own; brf `r`, `degree`; bsw `beta`; bsf `equal_partition`, `resort`,
            `previous_output_degrees`; csti `correlation`; er nothing.

    Returns:
        [O, I] bool with exactly `link_budget(O, I, density)` True.

    Raises:
        UserError: an unknown rule, a parameter that the rule does not take, lacks or cannot use, a bad size
            or density.
    """
    links = link_budget(out_features, in_features, density)
    if own := PLUGGED.get("topology", name):
        return _own_mask(own, out_features, in_features, links, generator, params)
    if name not in _RULES:
        raise unknown("topology", name, topology_names())
    _check_params(name, params)
    return _RULES[name](out_features, in_features, links, generator, **params)


def _own_mask(
    own: Registered,
    out_features: int,
    in_features: int,
    links: int,
    generator: torch.Generator,
    params: Mapping[str, object],
) -> Tensor:
    """The mask [O, I] of a plug-in's rule, checked: a mask of other links would count as one of `links`."""
    given = {"out_features": out_features, "in_features": in_features, "links": links, "generator": generator, **params}
    readable = {name: partial(given.get, name) for name in READABLE["topology"]}
    mask_OI = own.call({name: value for name, value in params.items() if name not in readable}, readable)
    if not isinstance(mask_OI, Tensor) or mask_OI.dtype != torch.bool or mask_OI.shape != (out_features, in_features):
        raise UserError(f"{own.title} must return a bool tensor [{out_features}, {in_features}], not {_said(mask_OI)}")
    if (found := int(mask_OI.sum())) != links:
        raise UserError(f"{own.title} must lay out {links} links, as it is asked to, not {found}")
    return mask_OI


def _said(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _check_params(name: str, params: dict[str, object]) -> None:
    own = [p for p in inspect.signature(_RULES[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    allowed = ", ".join(p.name for p in own) or "no parameters"
    for given in params:
        if given not in {p.name for p in own}:
            raise UserError(f"topology '{name}' takes no '{given}'; it takes: {allowed}")
    for p in own:
        if p.default is p.empty and p.name not in params:
            raise UserError(f"topology '{name}' needs '{p.name}'; it takes: {allowed}")
