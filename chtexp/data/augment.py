"""Whole batches at once: normalisation, and the random crop and flip that the CIFAR sets are trained with.

Shapes: N images of a set, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


class PixelScale:
    """(pixel / 255 - mean) / std for each channel.

    Args:
        mean: of each channel, in units of the pixel range 0..1.
        std: standard deviation of each channel, in the same units.
        device: of the images.

    Raises:
        ValueError: there are not as many means as deviations.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu") -> None:
        if len(mean) != len(std):
            raise ValueError(f"{len(mean)} means and {len(std)} deviations: there must be one of each for a channel")
        self._centre, self._spread = (
            255.0 * torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1) for values in (mean, std)
        )

    def __call__(self, images_uint8: Tensor) -> Tensor:
        """Scale images.

        Args:
            images_uint8: uint8 [N, C, H, W].

        Returns:
            float32 [N, C, H, W].

        Raises:
            ValueError: another number of channels.
        """
        if images_uint8.shape[1] != self._centre.shape[1]:
            raise ValueError(f"images of {images_uint8.shape[1]} channels, but {self._centre.shape[1]} means")
        return images_uint8.to(torch.float32).sub_(self._centre).div_(self._spread)


def random_crop_flip(
    images: Tensor, padding: int, generator: torch.Generator, *, of: int | None = None, part: slice = slice(None)
) -> Tensor:
    """Pad with zeros, cut an H x W window at a random place, and mirror left to right with probability 1/2.

    Args:
        images: [B, C, H, W] of any type; on raw uint8 images (before `PixelScale`) the border is black.
        padding: pixels on each side.
        generator: on the images' device; it alone decides the outcome.
        of: images of the whole batch, of which `images` are a part; None: `images` are the batch.
        part: which part they are. They become what they would in the whole batch.

    Returns:
        [B, C, H, W] of the same type, on the same device.
    """
    B, C, H, W = images.shape
    device = images.device
    many = B if of is None else of
    top, left = torch.randint(2 * padding + 1, (2, many, 1), generator=generator, device=device)[:, part]
    mirrored = torch.randint(2, (many, 1), generator=generator, device=device, dtype=torch.bool)[part]

    row, column = torch.arange(H, device=device), torch.arange(W, device=device)
    rows = top + row  # [B, H]
    columns = left + torch.where(mirrored, column.flip(0), column)  # [B, W]
    pixels = rows.unsqueeze(2) * (W + 2 * padding) + columns.unsqueeze(1)  # [B, H, W], places in the padded image

    padded = functional.pad(images, (padding,) * 4).flatten(2)  # [B, C, (H + 2p) * (W + 2p)]
    return padded.gather(2, pixels.view(B, 1, H * W).expand(B, C, H * W)).view(B, C, H, W)
