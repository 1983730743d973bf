"""ResNet for small images (He et al., 2016, "Deep residual learning for image recognition", section 4.2 and Table 6).

Shapes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from chtexp.config.models import ResNetConfig


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A convolution of 3 x 3 that keeps the size of the image at stride 1; a norm follows, so it has no bias."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def initialise(model: nn.Module) -> None:
    """Draw the first weights: N(0, 2 / fan_in) (He et al., 2015), biases 0; norms begin at gain 1 and bias 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / module.weight[0].numel()))
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


class Block(nn.Module):
    """Two convolutions, and what comes in added to what they make.

    The shortcut has no parameters (option A): where the block halves the pixels it takes every second one, and where it has more
    channels the new ones begin at zero.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.more = (1, 0) if inputs == outputs else (2, outputs - inputs)
        self.conv1, self.norm1 = convolution(inputs, outputs, self.stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = convolution(outputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        inner = self.norm2(self.conv2(relu(self.norm1(self.conv1(images)))))
        through = images[:, :, :: self.stride, :: self.stride]
        if self.more:
            through = pad(through, (0, 0, 0, 0, 0, self.more))
        return relu(inner + through)


class ResNet(nn.Module):
    """A residual network; the first convolution and the last linear map stay dense.

    Percolation sees the chain inside every block, conv1 -> conv2: a channel between them that has no link on either side is
    inactive. The residual stream is no chain. A channel of it carries what earlier blocks have added, so it is alive although one
    convolution has no link there, and every later block reads the sum.

    Args:
        config: its sizes.
        shape: of an image, C, H and W.
        classes: K.
    """

    def __init__(self, config: ResNetConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(shape[0], config.width), nn.BatchNorm2d(config.width), nn.ReLU())
        widths = (config.width, *config.widths)
        self.blocks = nn.Sequential(
            *(Block(inputs, outputs) for inputs, outputs in zip(widths, config.widths, strict=False))
        )
        self.head = nn.Linear(widths[-1], classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits [B, K] of images [B, C, H, W]."""
        logits_BK: Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return logits_BK

    def sparse_layers(self) -> list[str]:
        """The names of the convolutions that may be sparse: all but the first."""
        return [name for chain in self.chains() for name in chain]

    def chains(self) -> list[list[str]]:
        """The sequences of layers that feed each other: the two convolutions of every block."""
        return [[f"blocks.{block}.conv1", f"blocks.{block}.conv2"] for block in range(len(self.blocks))]
