"""The networks that classify images, by their descriptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from chtexp.config.models import ImageNetwork, MLPConfig, ResNetConfig, VGGConfig
from chtexp.models.mlp import MLP
from chtexp.models.resnet import ResNet
from chtexp.models.vgg import VGG

Shape = tuple[int, int, int]


class Classifier(Protocol):
    """A network (an `nn.Module`) that says which of its layers may be sparse."""

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the logits [B, K] of images [B, C, H, W]."""

    def sparse_layers(self) -> list[str]:
        """The names of the layers that may be sparse, in order."""

    def chains(self) -> Sequence[Sequence[str]]:
        """The sequences of layers that feed each other."""


# From a description, the shape of an image (channels, height, width) and the number of classes to the network.
CLASSIFIERS: dict[type[ImageNetwork], Callable[[Any, Shape, int], Classifier]] = {
    MLPConfig: lambda config, shape, classes: MLP(math.prod(shape), config.hidden, classes),
    ResNetConfig: ResNet,
    VGGConfig: VGG,
}
