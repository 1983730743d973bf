"""The first masks and the first weights of sparse layers.

Shapes: O outputs, I inputs, N samples, F input features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from chtexp.config.method import Topology
from chtexp.errors import UserError
from chtexp.randomness import generator
from chtexp.sparse.maps import CONVOLUTIONS, LinearMap, known_form
from chtexp.topology import Junction, feature_correlation, init_mask, topology_parameters


def initialise_weights(linears: Mapping[str, LinearMap], densities: Sequence[float], rule: str, seed: int) -> None:
    """Draw the first weights of the sparse layers, in place.

    Args:
        linears: the layers by name.
        densities: of the layers, in (0, 1].
        rule: `swi`: N(0, 2 / (density fan_in)); `kaiming`: N(0, 2 / fan_in); `own`: the weights stay as the model made them.
            fan_in of a convolution counts the kernel.
        seed: decides the weights, together with the layer's name.
    """
    if rule == "own":
        return
    for (name, linear), density in zip(linears.items(), densities, strict=True):
        std = math.sqrt(2 / (known_form(linear).shape[1] * (density if rule == "swi" else 1)))
        drawn = torch.empty_like(linear.weight, memory_format=torch.contiguous_format, requires_grad=False)
        drawn.normal_(0, std, generator=generator(seed, "weights", name, device=drawn.device))
        linear.weight.copy_(drawn)  # wherever its numbers lie in memory (channels last)


def initial_masks(
    linears: Mapping[str, LinearMap],
    densities: Sequence[float],
    topology: Topology,
    seed: int,
    chains: Sequence[Sequence[str] | Junction],
    columns: Mapping[str, int],
    features_NF: Tensor | None,
) -> dict[str, Tensor]:
    """Lay out the first links of every sparse layer.

    The first layer is the one that sees the network's input. Rules that correlate inputs (`csti`) get the correlation of
    `features_NF`. Rules that arrange hidden neurons (`bsf`) get the output degrees of the layer before in its chain.

    Args:
        linears: the layers by name, in order.
        densities: of the layers, in (0, 1].
        topology: the rule and its parameters, and the rule of hidden layers.
        seed: decides the masks, together with the layer's name.
        chains: which layers feed which.
        columns: of one input neuron of every layer, by name.
        features_NF: [N, F] float, training inputs; None: there are none.

    Returns:
        [O, I] bool for every layer, by name.

    Raises:
        UserError: the rule needs features and there are none, they have another shape than the first layer's input, or the
            first layer is a convolution.
    """
    before = {second: first for chain in chains if not isinstance(chain, Junction) for first, second in pairwise(chain)}
    correlation: Tensor | None = None
    masks: dict[str, Tensor] = {}
    for (name, linear), density in zip(linears.items(), densities, strict=True):
        rule = topology if topology.hidden is None or not masks else topology.hidden
        context: dict[str, Tensor] = {}
        accepted = topology_parameters(rule.rule)
        if "correlation" in accepted:
            if correlation is None:
                correlation = _correlation(features_NF, name, linear, rule.rule)
            context["correlation"] = correlation
        if "previous_output_degrees" in accepted and before.get(name) in masks:
            context["previous_output_degrees"] = masks[before[name]].sum(1).repeat_interleave(columns[name])
        outputs, inputs = known_form(linear).shape
        masks[name] = init_mask(
            rule.rule,
            outputs,
            inputs,
            density,
            generator=generator(seed, "topology", name),
            **context,
            **rule.parameters,
        ).to(linear.weight.device)
    return masks


def _correlation(features_NF: Tensor | None, name: str, first: LinearMap, rule: str) -> Tensor:
    if isinstance(first, CONVOLUTIONS):
        raise UserError(
            f"topology '{rule}' correlates input features, and the columns of layer '{name}', a {type(first).__name__}, are no "
            "features of the input: choose another topology, e.g. brf"
        )
    inputs = known_form(first).shape[1]
    if features_NF is None:
        raise UserError(
            f"topology '{rule}' correlates the training inputs: pass features=, a tensor [samples, features]"
        )
    if features_NF.ndim != 2 or features_NF.shape[1] != inputs:
        raise UserError(
            f"topology '{rule}' needs features of shape [samples, {inputs}], not {tuple(features_NF.shape)}; where "
            "the first sparse layer does not see the network's input, choose another topology, e.g. brf"
        )
    return feature_correlation(features_NF)
