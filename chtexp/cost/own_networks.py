"""What a plug-in's network counts: built once, and applied to two images that are zero.

Shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from chtexp.config.images import ImageDataConfig
from chtexp.config.models import Counts, Layer
from chtexp.config.own_parts import OwnNetwork
from chtexp.config.plugged import PLUGGED, Registered
from chtexp.errors import UserError
from chtexp.sparse.wiring import sparse_layers
from chtexp.tasks.image_classification import build_classifier

IMAGES = 2


def counts_of_own(network: OwnNetwork, shape: tuple[int, int, int], classes: int) -> Counts:
    """Count the parameters and the layers of a plug-in's network.

    Args:
        network: its description.
        shape: of an image: channels, height, width.
        classes: outputs that it must have.

    Raises:
        UserError: it cannot be built, or does not turn images into logits.
    """
    key = (PLUGGED.found["model", network.name], network.model_dump_json(), shape, classes)
    if key not in _counted:
        _counted[key] = _counts(network, shape, classes)
    return _counted[key]


_counted: dict[
    tuple[Registered, str, tuple[int, int, int], int], Counts
] = {}  # by network, its parameters, image, classes


def _counts(network: OwnNetwork, shape: tuple[int, int, int], classes: int) -> Counts:
    built = build_classifier(network, _data(shape, classes), seed=0)
    try:
        sparse = sparse_layers(built.model, built.sparse_layers)
    except UserError as error:
        raise UserError(f"model {network.name}: {error}") from None
    uses: dict[str, int] = {}
    maps = {name: weight for name, module in built.model.named_modules() if (weight := _weight_of(module)) is not None}
    handles = [
        built.model.get_submodule(name).register_forward_hook(partial(_count, uses, name, weight.shape))
        for name, weight in maps.items()
    ]
    try:
        with torch.no_grad():
            logits = built.model.eval()(torch.zeros(IMAGES, *shape))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"model {network.name} fails on images {list(shape)}: {type(error).__name__}: {said}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor) or logits.shape != (IMAGES, classes):
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"model {network.name} must turn images [B, {', '.join(map(str, shape))}] into logits [B, {classes}], not {found}"
        )
    layers = tuple(Layer(name, tuple(weight.shape), uses.get(name, 0), name in sparse) for name, weight in maps.items())
    others = sum(one.numel() for one in built.model.parameters()) - sum(layer.weights for layer in layers)
    return Counts.of(layers, others)


def _weight_of(module: nn.Module) -> Tensor | None:
    """The weight [O, ...] of a linear map or a convolution; None of other modules."""
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
        return module.weight
    weight = getattr(module, "weight", None) if type(module).__name__ == "Conv1D" else None  # of transformers, [I, O]
    return weight.T if isinstance(weight, Tensor) else None


def _count(
    uses: dict[str, int], name: str, shape: torch.Size, module: nn.Module, inputs: object, output: Tensor
) -> None:
    """Count how often a layer was applied to an image (a hook)."""
    uses[name] = uses.get(name, 0) + output.numel() // (IMAGES * shape[0])


def _data(shape: tuple[int, int, int], classes: int) -> ImageDataConfig:
    """A data set of such images; nothing else of it matters here."""
    channels = shape[0]
    return ImageDataConfig(
        name="any",
        shape=shape,
        classes=classes,
        train_examples=1,
        test_examples=1,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
