"""What a source of images gives, and what is learned from: whole arrays with a split, their measures, their fingerprint.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chtexp.errors import UserError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
AT_ONCE = 4096  # images whose pixels are counted at once: counting takes eight bytes a pixel
DIGITS = 6  # of means and deviations, after the decimal point


class Part(NamedTuple):
    """Images, as they lie in a source.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N], positions in the list of classes.
        names: of the images, each once. They alone decide the order, and which images are held out.
    """

    images: Pixels
    labels: Labels
    names: Sequence[str]


@dataclass(frozen=True)
class Found:
    """What a source gives.

    Attributes:
        train: the images to learn from.
        test: those to test on; None: a part of `train` is held out.
        classes: their names, by label.
        notes: what a person should know of it, in words.
        revision: of the data set, where its place keeps several.
    """

    train: Part
    test: Part | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    revision: str | None = None


class Measures(NamedTuple):
    """The mean and the standard deviation of the training pixels of each channel, in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Pictures:
    """What is learned from: both splits in memory.

    Attributes:
        train_images, test_images: uint8 [N, C, H, W].
        train_labels, test_labels: int64 [N], positions in the list of classes.
    """

    train_images: Pixels
    train_labels: Labels
    test_images: Pixels
    test_labels: Labels

    @classmethod
    def of(cls, train: Part, test: Part) -> Pictures:
        """Put two splits together."""
        return cls(train.images, train.labels, test.images, test.labels)

    def arrays(self) -> dict[str, Pixels | Labels]:
        """The arrays by name."""
        return dict(vars(self))

    def fingerprint(self) -> str:
        """Hash everything that is learned from: pixels, labels, split and order."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(json.dumps([name, little.dtype.str, list(little.shape)]).encode())
            digest.update(little.data)
        return f"sha256:{digest.hexdigest()}"

    def measures(self) -> Measures:
        """Measure mean and deviation of the training pixels, exactly, and round them.

        Raises:
            UserError: all pixels of a channel are equal, and nothing can be learned from it.
        """
        channels = [_mean_and_std(self.train_images[:, channel]) for channel in range(self.train_images.shape[1])]
        for channel, (_, std) in enumerate(channels):
            if std == 0:
                raise UserError(f"all training pixels of channel {channel} are equal: these images show nothing there")
        return Measures(tuple(mean for mean, _ in channels), tuple(std for _, std in channels))


def _mean_and_std(pixels_NHW: Pixels) -> tuple[float, float]:
    counts = np.zeros(256, dtype=np.int64)
    for first in range(0, len(pixels_NHW), AT_ONCE):
        counts += np.bincount(pixels_NHW[first : first + AT_ONCE].ravel(), minlength=256)
    each = [int(count) for count in counts]
    total = sum(each)
    sum_, squares = (sum(count * value**power for value, count in enumerate(each)) for power in (1, 2))
    variance = Fraction(total * squares - sum_**2, total**2)
    return round(sum_ / total / 255, DIGITS), round(sqrt(variance) / 255, DIGITS)
