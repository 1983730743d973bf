"""The IDX format of the MNIST family.

A header, then raw bytes: two zero bytes, the element type (8: uint8), the number of dimensions, and each
dimension as a big-endian 32-bit integer. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of
handwritten digits", http://yann.lecun.com/exdb/mnist/.

Shapes: N images, C = 1 channel, H rows, W columns.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chtexp.data.checksums import check_split, corrupt
from chtexp.data.spec import Arrays, ImageSet, stand_in_data

UINT8 = 8


def idx_names(train: str, test: str) -> list[str]:
    """The four raw files of a data set: train images, train labels, test images, test labels."""
    return [f"{split}-{kind}-ubyte" for split in (train, test) for kind in ("images-idx3", "labels-idx1")]


def read_idx(spec: ImageSet, path: Path, shape: tuple[int, ...]) -> Tensor:
    """Read one file.

    Args:
        spec: the data set.
        path: the file.
        shape: that it should hold.

    Returns:
        uint8 [*shape].

    Raises:
        DataError: the file's size or header differs.
    """
    header = struct.pack(f">4B{len(shape)}I", 0, 0, UINT8, len(shape), *shape)
    size = len(header) + int(np.prod(shape))
    if path.stat().st_size != size:
        raise corrupt(spec, path, f"{size} bytes", f"{path.stat().st_size} bytes")
    raw = np.fromfile(path, dtype=np.uint8)
    if raw[: len(header)].tobytes() != header:
        expected = f"the IDX header {header.hex()} (uint8 {list(shape)})"
        raise corrupt(spec, path, expected, raw[: len(header)].tobytes().hex())
    return torch.from_numpy(raw[len(header) :].reshape(shape))


def read_idx_set(
    spec: ImageSet,
    folder: Path,
    train: str,
    test: str,
    transposed: bool = False,
    source: str = "torchvision files",
    stand_in: bool = False,
) -> Arrays:
    """Read the four files of a data set.

    Args:
        spec: the data set.
        folder: of the files.
        train: what names of training files begin with.
        test: what names of test files begin with.
        transposed: whether rows and columns are swapped in the files.
        source: where they came from, in words.
        stand_in: whether they stand in for another data set.

    Raises:
        DataError: a wrong size, header or label.
    """
    paths = [folder / name for name in idx_names(train, test)]
    return Arrays(
        train=_read_split(spec, spec.train_examples, paths[0], paths[1], transposed),
        test=_read_split(spec, spec.test_examples, paths[2], paths[3], transposed),
        source=source,
        deviations=stand_in_data(source) if stand_in else (),
    )


def _read_split(
    spec: ImageSet, examples: int, image_path: Path, label_path: Path, transposed: bool
) -> tuple[Tensor, Tensor]:
    """The images uint8 [N, 1, H, W] and the labels int64 [N] of one split."""
    _, height, width = spec.shape
    images = read_idx(spec, image_path, (examples, height, width)).unsqueeze(1)  # [N, H, W] -> [N, 1, H, W]
    labels = read_idx(spec, label_path, (examples,)).long()
    upright = images.transpose(2, 3).contiguous() if transposed else images
    check_split(spec, label_path, examples, upright, labels)
    return upright, labels
