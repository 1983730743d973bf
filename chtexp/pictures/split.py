"""Which images are held out for the test, and in which order all stand: a pure function of their names.

Neither the order in which a file system lists them nor a seed takes part: a split is the same whenever and wherever it is made.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chtexp.errors import UserError
from chtexp.pictures.found import Found, Labels, Part

TEST_FRACTION = 0.2  # where nothing else is asked for


def split_of(found: Found, test_fraction: float | None) -> tuple[Part, Part]:
    """Split what was found, where it is not split already, and put it in order.

    The order mixes the classes, so that the first so many images of a split are a fair sample of it.

    Args:
        found: the images.
        test_fraction: the part of each class that is held out for the test; None: TEST_FRACTION.

    Returns:
        The images to learn from, and those to test on.

    Raises:
        UserError: fewer than two classes, a class without training images, a class of the test split that the training split does
            not have, a class too small to be split, or a fraction where the test split is given.
    """
    _check_classes(found)
    train, test = found.train, found.test
    if test is None:
        held = held_out(train.names, train.labels, TEST_FRACTION if test_fraction is None else test_fraction)
        train, test = _chosen(train, np.flatnonzero(~held)), _chosen(train, np.flatnonzero(held))
    elif test_fraction is not None:
        raise UserError("data.test_fraction is for images without a test split, and these have one: leave it out")
    return _chosen(train, _order(train.names)), _chosen(test, _order(test.names))


def held_out(names: Sequence[str], labels: Labels, fraction: float) -> NDArray[np.bool_]:
    """Choose the images that are held out: of each class the nearest whole number to the fraction, at
    least one and not all.

    Args:
        names: of the images, each once.
        labels: int64 [N].
        fraction: of each class, in (0, 1).

    Returns:
        bool [N]: of each class, those whose names have the smallest hashes. A class of one image keeps it.
    """
    held = np.zeros(len(names), dtype=bool)
    order = _order(names)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        count = math.floor(fraction * len(of_class) + 0.5)
        held[of_class[: min(max(count, 1), len(of_class) - 1)]] = True
    return held


def _order(names: Sequence[str]) -> NDArray[np.intp]:
    """The positions of names, by the hashes of these."""
    keys = np.array([hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names], dtype="S32")
    return np.argsort(keys, kind="stable")


def _chosen(part: Part, positions: NDArray[np.intp]) -> Part:
    names = [part.names[position] for position in positions]
    return Part(part.images[positions], part.labels[positions], names)


def _check_classes(found: Found) -> None:
    if len(found.classes) < 2:
        raise UserError(
            f"there is one class ('{', '.join(found.classes)}'), and to tell classes apart takes two or more"
        )
    trained = np.bincount(found.train.labels, minlength=len(found.classes))
    for name, count in zip(found.classes, trained, strict=True):
        if count == 1 and found.test is None:
            raise UserError(
                f"class '{name}' has one image, and one at least of each is held out to test on: add images, or a test split"
            )
        if not count:
            raise UserError(f"class '{name}' has no training image: leave it out of the test split, or add some")
