"""What an exported classifier is, in numbers: neurons, links, bytes, accuracy, speed.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from chtexp.trained.exported import Inputs

DENSE, COMPACT, LINKS = "dense, torch", "compact, torch", "compact, links"  # networks, and what computes them
DENSE_ONNX, COMPACT_ONNX = "dense, onnxruntime", "compact, onnxruntime"
VALUE, INDEX = 4, 4  # bytes of a weight, and of the place of a link


class LayerSummary(TypedDict):
    """One layer with weights, in the run's network and in the exported one.

    Attributes:
        layer: its module, and its place among the layers with weights.
        neurons: outputs: neurons of a linear map, channels of a convolution.
        kept: how many of them are exported.
        inputs: neurons or channels that it reads.
        linked: how many of them have a link to above.
        links: weights that are not 0.
        kept_links: how many of them are exported; the others belong to neurons that lie on no path.
        weights: entries of the exported weight.
    """

    layer: str
    neurons: int
    kept: int
    inputs: int
    linked: int
    links: int
    kept_links: int
    weights: int


class Sizes(TypedDict):
    """Parameters and bytes, in float32.

    Attributes:
        dense_parameters: of the run's network with all its pairs.
        links: weights of the run's network that are not 0, with all its other parameters that are not.
        compact_parameters: of the exported network.
        dense_bytes: of the parameters of the dense network.
        links_bytes: of its links: a weight and a place each (compressed rows), and of its other parameters.
        compact_bytes: of the parameters of the exported network.
    """

    dense_parameters: int
    links: int
    compact_parameters: int
    dense_bytes: int
    links_bytes: int
    compact_bytes: int


class Timing(TypedDict):
    """The time of one network at one size of batch: medians and quartiles over rounds.

    Attributes:
        execution: the network, and what computes it.
        batch: images at once.
        milliseconds: an image.
        low: quartile of 25%.
        high: quartile of 75%.
        faster: how many times faster than the dense network in torch, within rounds.
    """

    execution: str
    batch: int
    milliseconds: float
    low: float
    high: float
    faster: float


class Speed(TypedDict):
    """What was timed.

    Attributes:
        machine: by what it was measured, in words.
        threads: of each execution.
        busy_with_others: share of the machine that other processes took meanwhile, in [0, 1]; None: not known.
        timings: of every execution at every size of batch.
    """

    machine: str
    threads: int
    busy_with_others: float | None
    timings: list[Timing]


class Summary(TypedDict):
    """The content of summary.json.

    Attributes:
        run: the identity of the run.
        seed: its seed.
        data: the name of its data set.
        method: the name of its method.
        budget: the name of its budget.
        inputs: what the network takes.
        classes: how many.
        accuracy: percent of the test images, by execution.
        accuracy_of_run: percent, at the last evaluation of the run.
        best_accuracy_of_run: percent, at its best evaluation, whose network is not kept.
        test_images: how many.
        anp: active neuron post-percolation rate, in [0, 1]: of the inputs of all sparse layers, and of the outputs of the last,
            those that have links.
        layers: those with weights.
        sizes: of the networks.
        speed: what was timed.
    """

    run: str
    seed: int
    data: str
    method: str
    budget: str
    inputs: Inputs
    classes: int
    accuracy: dict[str, float]
    accuracy_of_run: float | None
    best_accuracy_of_run: float | None
    test_images: int
    anp: float
    layers: list[LayerSummary]
    sizes: Sizes
    speed: Speed


def layers_of(network: nn.Module, small: nn.Module) -> list[LayerSummary]:
    """Compare the layers of a network with those of its compact copy.

    Args:
        network: plain modules.
        small: the same modules without inactive neurons.
    """
    pairs = zip(_weights(network), _weights(small), strict=True)
    return [
        {
            "layer": f"{number} {kind}",
            "neurons": before.shape[0],
            "kept": after.shape[0],
            "inputs": before.shape[1],
            "linked": int(before.ne(0).transpose(0, 1).flatten(1).any(1).sum()),
            "links": int(before.count_nonzero()),
            "kept_links": int(after.count_nonzero()),
            "weights": after.numel(),
        }
        for number, ((kind, before), (_, after)) in enumerate(pairs, start=1)
    ]


def sizes_of(network: nn.Module, small: nn.Module) -> Sizes:
    """Count parameters and bytes of a network and of its compact copy."""
    dense, compact = (sum(one.numel() for one in model.parameters()) for model in (network, small))
    weights = [weight for _, weight in _weights(network)]
    links = sum(int(weight.count_nonzero()) for weight in weights)
    others = dense - sum(weight.numel() for weight in weights)
    rows = sum(weight.shape[0] + 1 for weight in weights)
    return {
        "dense_parameters": dense,
        "links": sum(int(one.count_nonzero()) for one in network.parameters()),
        "compact_parameters": compact,
        "dense_bytes": VALUE * dense,
        "links_bytes": (VALUE + INDEX) * links + INDEX * rows + VALUE * others,
        "compact_bytes": VALUE * compact,
    }


def hidden_share(layers: Sequence[LayerSummary]) -> float:
    """The share of hidden neurons (without the inputs, and without the classes) that is exported, in [0, 1]."""
    hidden = layers[:-1]
    return sum(layer["kept"] for layer in hidden) / max(1, sum(layer["neurons"] for layer in hidden))


def _weights(network: nn.Module) -> list[tuple[str, Tensor]]:
    """The weights of linear maps and convolutions, and the kinds of these."""
    return [
        (type(module).__name__, module.weight.detach())
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
