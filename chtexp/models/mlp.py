"""The paper's multi-layer perceptron (arXiv:2501.19107, Tables 1 and 7).

Shapes: B batch, C channels, H height, W width, F = C H W input features, K classes.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from chtexp.typed import Description

Width = Annotated[int, Field(ge=1)]


class MLPConfig(Description):
    """hidden: widths of the hidden layers. The paper: [1568] * 3 on the MNIST family, [3072] * 3 on CIFAR."""

    name: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Width, ...], Field(min_length=1)]


class MLP(nn.Module):
    """Linear maps with ReLU between; the last one maps to the classes and stays dense.

    Weights start at N(0, 2 / fan_in) (Kaiming), biases at 0.
    """

    def __init__(self, features: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        widths = (features, *hidden)
        modules: list[nn.Module] = []
        for inputs, outputs in zip(widths, hidden, strict=False):
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*modules, nn.Linear(widths[-1], classes))
        for module in self.layers:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, math.sqrt(2 / module.in_features))
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K] of images [B, C, H, W] or features [B, F]."""
        return self.layers(images.flatten(1))

    def sparse_layers(self) -> list[str]:
        """The linear maps that may be sparse: all but the last."""
        return [f"layers.{index}" for index, module in enumerate(self.layers) if isinstance(module, nn.Linear)][:-1]

    def chains(self) -> list[list[str]]:
        """The hidden layers feed each other in order."""
        return [self.sparse_layers()]
