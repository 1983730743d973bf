"""Whole batches at once: normalisation, and the random crop and flip that the CIFAR sets are trained with.

Shapes: N images of a set, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def normalise(images_uint8: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """(pixel / 255 - mean) / std for each channel.

    `images_uint8`: uint8 [N, C, H, W]; `mean`, `std`: C numbers each, in units of the pixel range 0..1; tensors
    on the images' device spare a copy to it.
    Returns float32 [N, C, H, W] on the same device. Raises `ValueError` if there are not C numbers.
    """
    channels = images_uint8.shape[1]
    if len(mean) != channels or len(std) != channels:
        raise ValueError(f"images of {channels} channels, but {len(mean)} means and {len(std)} deviations")
    centre, spread = (
        255.0 * torch.as_tensor(values, dtype=torch.float32, device=images_uint8.device).view(1, channels, 1, 1)
        for values in (mean, std)
    )
    return images_uint8.to(torch.float32).sub_(centre).div_(spread)


def random_crop_flip(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad with zeros, cut an H x W window at a random place, and mirror left to right with probability 1/2.

    `images`: [B, C, H, W] of any type; on raw uint8 images (before `normalise`) the border is black.
    `padding`: pixels on each side. `generator` lives on the images' device and alone decides the outcome.
    Returns [B, C, H, W] of the same type, on the same device.
    """
    B, C, H, W = images.shape
    device = images.device
    top, left = torch.randint(2 * padding + 1, (2, B, 1), generator=generator, device=device)
    mirrored = torch.randint(2, (B, 1), generator=generator, device=device, dtype=torch.bool)

    row, column = torch.arange(H, device=device), torch.arange(W, device=device)
    rows = top + row  # [B, H]
    columns = left + torch.where(mirrored, column.flip(0), column)  # [B, W]
    pixels = rows.unsqueeze(2) * (W + 2 * padding) + columns.unsqueeze(1)  # [B, H, W], places in the padded image

    padded = functional.pad(images, (padding,) * 4).flatten(2)  # [B, C, (H + 2p) * (W + 2p)]
    return padded.gather(2, pixels.view(B, 1, H * W).expand(B, C, H * W)).view(B, C, H, W)
