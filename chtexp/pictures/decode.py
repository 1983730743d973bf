"""Encoded images (PNG, JPEG, BMP, ...) to one array of bytes, by Pillow.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from chtexp.errors import Unavailable, UserError
from chtexp.pictures.found import Pixels
from chtexp.system.cores import available_cores

UNREADABLE = (SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
GREY = {"1", "L", "LA"}  # Pillow's modes
DEEP = ("I", "F")  # the first letters of modes with more than 8 bits a channel
ORIENTATION = 0x0112  # how the camera was held; values from 5 on swap rows and columns
SHOWN = 3  # sizes that a message names


class Encoded(NamedTuple):
    """One image that is not decoded yet.

    Attributes:
        name: for messages.
        content: its file, or its bytes.
    """

    name: str
    content: Path | bytes

    def open(self) -> Image.Image:
        """Read its head."""
        return Image.open(self.content if isinstance(self.content, Path) else BytesIO(self.content))


class Head(NamedTuple):
    """What an image says of itself before it is decoded.

    Attributes:
        size: rows and columns, as it is shown.
        grey: whether it has no colour.
    """

    size: tuple[int, int]
    grey: bool


def decoded(
    images: Sequence[Encoded], size: tuple[int, int] | None, channels: int | None
) -> tuple[Pixels, tuple[str, ...]]:
    """Decode images. They become grey or RGB, upright, and where a size is asked for they are resized (bilinear, antialiased).

    Args:
        images: N of them.
        size: rows and columns of all; None: as they are.
        channels: 1 or 3; None: 1 if all are grey, else 3.

    Returns:
        uint8 [N, C, H, W], and notes in words.

    Raises:
        UserError: an image cannot be decoded, has more than 8 bits a channel, or they differ in size and no size is asked for.
        Unavailable: a file cannot be read.
    """
    with ThreadPoolExecutor(available_cores()) as workers:
        heads = list(workers.map(_head, images))
        height, width = size or _one_size([head.size for head in heads])
        grey = sum(head.grey for head in heads)
        C = channels or (1 if grey == len(heads) else 3)
        pixels_NCHW = _room((len(images), C, height, width))

        def put(position: int) -> None:
            pixels_NCHW[position] = _pixels(images[position], C, (height, width))

        for _ in workers.map(put, range(len(images))):
            pass  # raises what went wrong
    notes = []
    if len({head.size for head in heads}) > 1:
        notes.append(f"images of {len({head.size for head in heads})} sizes are resized to {height}x{width}")
    if C == 3 and 0 < grey < len(heads):
        notes.append(f"{grey} of {len(heads)} images are grey, and taken as colour")
    return pixels_NCHW, tuple(notes)


def resized(pixels_NCHW: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Bring decoded images to a size, each channel by itself; None: leave them as they are."""
    if size is None or pixels_NCHW.shape[2:] == size:
        return pixels_NCHW
    N, C, _, _ = pixels_NCHW.shape
    small = _room((N, C, *size))
    for image in range(N):
        for channel in range(C):
            whole = Image.fromarray(pixels_NCHW[image, channel])
            small[image, channel] = np.asarray(whole.resize(size[::-1], Image.Resampling.BILINEAR))
    return small


def _head(one: Encoded) -> Head:
    try:
        with one.open() as image:
            if image.mode.startswith(DEEP) or _is_deep(image):
                raise UserError(
                    f"{one.name} has more than 8 bits a channel ({image.mode}), and 8 are learned from: convert it"
                )
            swapped = _by_a_camera(image) and image.getexif().get(ORIENTATION, 1) >= 5
            return Head(image.size if swapped else image.size[::-1], image.mode in GREY)
    except UserError:
        raise
    except (OSError, *UNREADABLE) as error:
        raise _unreadable(one, error) from None


def _pixels(one: Encoded, channels: int, size: tuple[int, int]) -> Pixels:
    """uint8 [C, H, W]."""
    try:
        with one.open() as image:
            upright = ImageOps.exif_transpose(image) if _by_a_camera(image) else image
            shown = upright.convert("L" if channels == 1 else "RGB")
    except (OSError, *UNREADABLE) as error:
        raise _unreadable(one, error) from None
    if shown.size != size[::-1]:
        shown = shown.resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(shown)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _is_deep(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel where Pillow would give 8 of them (colour PNG and PPM)."""
    for tile in getattr(image, "tile", ()):
        for one in tile[3] if isinstance(tile[3], tuple) else (tile[3],):
            if isinstance(one, str) and ";16" in one:
                return True
            if image.format == "PPM" and isinstance(one, int) and one > 255:  # the largest value
                return True
    return False


def _by_a_camera(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")  # of others, the whole file would have to be read to know


def _unreadable(one: Encoded, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None:  # the disk's; Pillow's own have no number
        return Unavailable(f"cannot read {one.name}: {error.strerror}")
    if reason.startswith("cannot identify"):
        reason = "it is no image that Pillow knows"
    return UserError(f"{one.name} cannot be decoded ({reason}): mend it, or take it away")


def _one_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The size that all have, else an error that names the sizes."""
    counts = Counter(sizes).most_common()
    if len(counts) == 1:
        return counts[0][0]
    seen = ", ".join(f"{height}x{width} ({count})" for (height, width), count in counts[:SHOWN])
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    height, width = counts[0][0]
    typed = f"{height}" if height == width else f"[{height},{width}]"
    raise UserError(f"the images differ in size: {seen}{more}; add data.size={typed} (rows, columns), or another size")


def _room(shape: tuple[int, int, int, int]) -> Pixels:
    """An empty array, unless this machine has no memory for it."""
    N, C, H, W = shape
    needed, there = N * C * H * W, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"{N} images of {H}x{W} with {C} channels take {needed / 1e9:.0f} GB, and this machine has {there / 1e9:.0f} GB: "
            "bring them to a smaller data.size"
        )
    return np.empty(shape, dtype=np.uint8)
