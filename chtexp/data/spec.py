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

    Attributes:
        name: as chosen.
        train_images, test_images: uint8 [N, C, H, W], raw pixel values 0..255.
        train_labels, test_labels: int64 [N], values 0..classes-1.
        classes: how many.
        source: where the images came from, in words, e.g. "torchvision files".
        deviations: in what the images are not the data set's own.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    source: str
    deviations: tuple[str, ...] = ()


class Origin(NamedTuple):
    """Where data come from.

    Attributes:
        source: in words.
        deviations: in what they are not the paper's, as short facts.
    """

    source: str
    deviations: tuple[str, ...] = ()


def stand_in_data(name: str) -> tuple[str, ...]:
    """The deviation of data that stand in for others, or are a part of them."""
    return (f"stand-in data ({name})",)


class Arrays(NamedTuple):
    """What a reader returns.

    Attributes:
        train: images uint8 [N, C, H, W] and labels int64 [N].
        test: likewise.
        source: where they came from, in words.
        deviations: in what they are not the data set's own.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    source: str
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFiles:
    """One form in which a data set may lie on disk.

    Attributes:
        folder: below the data root.
        files: the names (or glob patterns) looked for there, each with its published checksum, "sha256:<hex>" or "md5:<hex>", or
            None where none is published. It is a function so that torchvision, which knows some of them, is imported only when it
            is needed.
        read: takes the data set and the folder and returns its arrays. It is called only after all files were found and their
            checksums agreed.
    """

    folder: str
    files: Callable[[], Mapping[str, str | None]]
    read: Callable[[ImageSet, Path], Arrays]


@dataclass(frozen=True)
class ImageSet:
    """An image data set as it should be.

    Attributes:
        name: as chosen.
        title: for a person.
        shape: (C, H, W).
        classes: how many.
        train_examples, test_examples: images of each split.
        sources: tried in order; the first whose files are all there is read, and a download gives the first.
        torchvision: the class of `torchvision.datasets` that downloads it; None: there is nothing to download.
        options: further arguments of that class.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: int
    train_examples: int
    test_examples: int
    sources: tuple[ImageFiles, ...]
    torchvision: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
