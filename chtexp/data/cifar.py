"""CIFAR-10 and CIFAR-100 as the Python pickles that torchvision downloads.

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html. A pickle can run code: it is opened only after its checksum
agreed.

Shapes: N images, C = 3 channels, H = W = 32.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chtexp.data.checksums import check_split
from chtexp.data.spec import Arrays, ImageSet


def read_cifar(spec: ImageSet, folder: Path, train: list[str], test: list[str], label_key: str) -> Arrays:
    """Read the pickled batches of a CIFAR set.

    Args:
        spec: the data set.
        folder: of the files.
        train: names of the files of training images.
        test: names of the files of test images.
        label_key: "labels" or "fine_labels".

    Raises:
        DataError: shapes, counts or labels are not those of `spec`.
    """
    splits = []
    for names, examples in ((train, spec.train_examples), (test, spec.test_examples)):
        batches = [_unpickle(folder / name, label_key) for name in names]
        flat = np.concatenate([pixels for pixels, _ in batches])  # [N, C * H * W]
        images = torch.from_numpy(flat).reshape(-1, *spec.shape)
        labels = torch.tensor([label for _, labels in batches for label in labels], dtype=torch.int64)
        check_split(spec, folder / names[0], examples, images, labels)
        splits.append((images, labels))
    return Arrays(train=splits[0], test=splits[1], source="torchvision files")


def _unpickle(path: Path, label_key: str) -> tuple[NDArray[np.uint8], list[int]]:
    """Read the pixels [N, C * H * W] and the labels in a pickle whose checksum agreed."""
    with path.open("rb") as file, warnings.catch_warnings():
        # Written by Python 2, with integers where some releases of NumPy 2.4 insist on booleans.
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        batch = pickle.load(file, encoding="latin1")
    return batch["data"], batch[label_key]
