"""The paper's multi-layer perceptron (arXiv:2501.19107, Tables 1 and 7).

Shapes: B batch, C channels, H height, W width, F = C H W input features, K classes.
"""

from __future__ import annotations

import math

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear maps with ReLU between; the last one maps to the classes and stays dense.

    Weights start at N(0, 2 / fan_in) (Kaiming), biases at 0.

    Args:
        features: F.
        hidden: widths of the hidden layers.
        classes: K.
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
        """Compute the logits.

        Args:
            images: [B, C, H, W], or features [B, F].

        Returns:
            [B, K] logits.
        """
        logits_BK: Tensor = self.layers(images.flatten(1))
        return logits_BK

    def sparse_layers(self) -> list[str]:
        """The names of the linear maps that may be sparse: all but the last."""
        return [f"layers.{index}" for index, module in enumerate(self.layers) if isinstance(module, nn.Linear)][:-1]

    def chains(self) -> list[list[str]]:
        """The sequences of layers that feed each other: all hidden layers in order."""
        return [self.sparse_layers()]
