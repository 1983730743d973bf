"""VGG for small images: convolutions of 3 x 3, batch norm, one linear map at the end.

Simonyan & Zisserman (2015), "Very deep convolutional networks for large-scale image recognition", configuration D, without its
two hidden linear layers, as comparisons of sparse training on CIFAR have it (GraNet, ITOP) [choice].
Shapes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from chtexp.config.models import VGGConfig
from chtexp.models.resnet import convolution, initialise


class VGG(nn.Module):
    """Convolutions in stages, the pixels halved between them, then the mean over all pixels.

    The first convolution and the last linear map stay dense. All others feed each other in one chain.

    Args:
        config: its sizes.
        shape: of an image, C, H and W.
        classes: K.
    """

    def __init__(self, config: VGGConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        inputs, self.convolutions = shape[0], 0
        for stage, widths in enumerate(config.widths):
            if stage:
                modules[f"pool{stage}"] = nn.MaxPool2d(2)
            for outputs in widths:
                self.convolutions += 1
                modules[f"conv{self.convolutions}"] = convolution(inputs, outputs)
                modules[f"norm{self.convolutions}"] = nn.BatchNorm2d(outputs)
                modules[f"relu{self.convolutions}"] = nn.ReLU()
                inputs = outputs
        modules |= {"mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "head": nn.Linear(inputs, classes)}
        self.layers = nn.Sequential(modules)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits [B, K] of images [B, C, H, W]."""
        logits_BK: Tensor = self.layers(images)
        return logits_BK

    def sparse_layers(self) -> list[str]:
        """The names of the convolutions that may be sparse: all but the first."""
        return [f"layers.conv{number}" for number in range(2, self.convolutions + 1)]

    def chains(self) -> list[list[str]]:
        """The sequences of layers that feed each other: all sparse convolutions in order."""
        return [self.sparse_layers()]
