"""Whole-batch augmentation against one image at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from chtexp.data import PixelScale, random_crop_flip


def batch(size: int = 64, channels: int = 3, height: int = 32, width: int = 32) -> torch.Tensor:
    shape = (size, channels, height, width)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def one_at_a_time(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """The same draws, then plain slices of each padded image."""
    B, C, H, W = images.shape
    top, left = torch.randint(2 * padding + 1, (2, B, 1), generator=generator)
    mirrored = torch.randint(2, (B, 1), generator=generator, dtype=torch.bool)
    result = []
    for image, t, x, mirror in zip(images, top, left, mirrored, strict=True):
        padded = torch.zeros(C, H + 2 * padding, W + 2 * padding, dtype=images.dtype)
        padded[:, padding : padding + H, padding : padding + W] = image
        crop = padded[:, int(t) : int(t) + H, int(x) : int(x) + W]
        result.append(crop.flip(2) if mirror else crop)
    return torch.stack(result)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("shape", [(64, 3, 32, 32), (7, 1, 5, 9)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crop_flip_equals_one_image_at_a_time(padding, shape, dtype):
    images = batch(*shape).to(dtype)
    generators = (torch.Generator().manual_seed(3) for _ in range(2))
    augmented = random_crop_flip(images, padding, next(generators))
    assert augmented.dtype == dtype
    assert torch.equal(augmented, one_at_a_time(images, padding, next(generators)))


def test_crop_flip_depends_on_the_generator_alone():
    images = batch()
    before = images.clone()
    torch.manual_seed(0)
    first = random_crop_flip(images, 4, torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    assert torch.equal(first, random_crop_flip(images, 4, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, random_crop_flip(images, 4, torch.Generator().manual_seed(2)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("part", [slice(0, None, 3), slice(2, None, 3), slice(0, 1)], ids=str)
def test_a_part_of_a_batch_becomes_what_it_would_in_the_whole(part: slice) -> None:
    images = batch(64)
    whole = random_crop_flip(images, 4, torch.Generator().manual_seed(1))
    mine = random_crop_flip(images[part], 4, torch.Generator().manual_seed(1), of=64, part=part)
    assert torch.equal(mine, whole[part])


def test_every_place_and_both_sides_occur_equally_often():
    marked = torch.zeros(20000, 1, 5, 5, dtype=torch.uint8)
    marked[:, :, 2, 1] = 1  # off the middle column, so that a mirrored image can be told
    places = random_crop_flip(marked, 1, torch.Generator().manual_seed(0)).float().mean((0, 1))
    one_side = torch.zeros(5, 5)
    one_side[1:4, 0:3] = 1 / 9
    assert torch.allclose(places, (one_side + one_side.flip(1)) / 2, atol=0.01)


def test_crop_flip_is_much_quicker_than_one_image_at_a_time():
    images, threads = batch(256), torch.get_num_threads()
    torch.set_num_threads(1)  # a busy machine makes threads wait for each other
    try:
        whole, single = (
            min(timed(augment, images) for _ in range(10)) for augment in (random_crop_flip, one_at_a_time)
        )
    finally:
        torch.set_num_threads(threads)
    assert whole < single / 3


def timed(augment: Callable[..., torch.Tensor], images: torch.Tensor) -> float:
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    augment(images, 4, generator)
    return time.perf_counter() - start


def test_normalise_is_the_formula():
    images = batch()
    mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
    result = PixelScale(mean, std)(images)
    shaped_mean, shaped_std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    assert result.dtype == torch.float32
    assert torch.allclose(result, (images / 255 - shaped_mean) / shaped_std, atol=1e-5)


def test_normalise_wants_a_number_for_each_channel():
    with pytest.raises(ValueError, match="3 channels, but 1 means"):
        PixelScale([0.1307], [0.3081])(batch())


def test_means_and_deviations_belong_together():
    with pytest.raises(ValueError, match="2 means and 1 deviations"):
        PixelScale([0.1, 0.2], [0.3])
