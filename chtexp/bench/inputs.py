"""What the measured networks see: real images where they lie, random numbers elsewhere; whichever is said.

Shapes: N images, B batch, F input features.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from chtexp.bench.networks import Network
from chtexp.data import PixelScale, load_images
from chtexp.errors import UserError
from chtexp.randomness import generator

BATCHES = 32  # distinct ones, which are seen again and again
RANDOM_ROWS = 2048  # of features that stand in for a data set's

Batch = tuple[Tensor, Tensor]


class Inputs(NamedTuple):
    """What a measured network sees.

    Attributes:
        batches: inputs [B, F] or [B, C, H, W], and labels int64 [B], of each batch.
        features: [N, F], for topologies that correlate them.
        source: where they come from, in words.
    """

    batches: list[Batch]
    features: Tensor
    source: str


def random_batches(network: Network, batch: int, seed: int, device: torch.device | str = "cpu") -> list[Batch]:
    """Draw normally distributed inputs [B, F] with random labels [B].

    Args:
        network: that they are for.
        batch: B.
        seed: of the draw.
        device: where they lie.
    """
    draw = generator(seed, "bench", "inputs")
    return [
        (
            torch.randn(batch, network.features, generator=draw).to(device),
            torch.randint(network.data.classes, (batch,), generator=draw).to(device),
        )
        for _ in range(BATCHES)
    ]


def inputs_of(network: Network, batch: int, seed: int, root: Path | None) -> Inputs:
    """Load training images; random numbers without a root, and where the data set needs one.

    Args:
        network: that they are for.
        batch: B.
        seed: of the choice of images, or of the random numbers.
        root: of the data sets.

    Raises:
        UserError: the root does not hold the data set.
    """
    try:
        images = load_images(network.name, root)
    except UserError:
        if root is not None:
            raise
        rows = torch.randn(RANDOM_ROWS, network.features, generator=generator(seed, "bench", "features"))
        return Inputs(random_batches(network, batch, seed), rows, "random numbers")
    scale = PixelScale(network.data.mean, network.data.std)
    count = len(images.train_labels)
    chosen = torch.randint(count, (BATCHES, batch), generator=generator(seed, "bench", "inputs"))
    batches = [(scale(images.train_images[some]), images.train_labels[some]) for some in chosen]
    return Inputs(batches, images.train_images.flatten(1).float(), images.source)
