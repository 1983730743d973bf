"""What an image data set is: its name, its counts, where its files lie and which function reads them.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class ImageData:
    """A whole data set in memory.

    `train_images`, `test_images`: uint8 [N, C, H, W], raw pixel values 0..255.
    `train_labels`, `test_labels`: int64 [N], values 0..classes-1.
    `source` says in words where the images came from, e.g. "torchvision files".
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    source: str


class Arrays(NamedTuple):
    """What a reader returns: the images uint8 [N, C, H, W] and labels int64 [N] of each split."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    source: str


@dataclass(frozen=True)
class Source:
    """One form in which a data set may lie on disk.

    `folder` is below the data root. `files` gives the names (or glob patterns) looked for there, each with
    its published checksum, "sha256:<hex>" or "md5:<hex>", or None where none is published; it is a function
    so that torchvision, which knows some of them, is imported only when it is needed. `read` takes the data
    set and the folder and returns its arrays; it is called only after all files were found and their
    checksums agreed.
    """

    folder: str
    files: Callable[[], Mapping[str, str | None]]
    read: Callable[[ImageSet, Path], Arrays]


@dataclass(frozen=True)
class ImageSet:
    """An image data set as it should be.

    `shape` is (C, H, W). `sources` are tried in order, the first whose files are all there is read; a
    download gives the first. `torchvision` names the class of `torchvision.datasets` that downloads it,
    `options` its further arguments; None means that there is nothing to download.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: int
    train_examples: int
    test_examples: int
    sources: tuple[Source, ...]
    torchvision: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
