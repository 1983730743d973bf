"""What is published of files: by their checksums, names and counts, the data set that a file belongs to is told."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
EMNIST47_SHA256 = {
    "emnist47-train-images-idx3-ubyte": "sha256:82aa26e4f12ff3c1f9bcd0b0ea6ce9497d6997621232a21eabe33ed961a6e8a1",
    "emnist47-train-labels-idx1-ubyte": "sha256:cfe8b269e10c9cb39844fef24b46524e460988aac8af9188df96dfc66ea5e79a",
    "emnist47-test-images-idx3-ubyte": "sha256:58daa7d281947cfcee4963a4337fe7514063add61dcbbe97a88765d4e5a01517",
    "emnist47-test-labels-idx1-ubyte": "sha256:2a4a7de6fbd1edfa297f15ef7e8ac80fa708b121554085b03067a18330761062",
}


def cifar_md5(torchvision_class: str) -> dict[str, str]:
    """The files of a CIFAR set, with the checksums that torchvision publishes."""
    from torchvision import datasets

    layout = getattr(datasets, torchvision_class)
    pairs = [*layout.train_list, *layout.test_list, (layout.meta["filename"], layout.meta["md5"])]
    return {name: f"md5:{digest}" for name, digest in pairs}


# By titles; functions, so that torchvision is imported only when its checksums are needed.
SHA256: dict[str, Mapping[str, str]] = {
    "MNIST": MNIST_SHA256,
    "Fashion-MNIST": FASHION_MNIST_SHA256,
    "EMNIST47": EMNIST47_SHA256,
}
MD5: dict[str, Callable[[], Mapping[str, str]]] = {
    "CIFAR-10": partial(cifar_md5, "CIFAR10"),
    "CIFAR-100": partial(cifar_md5, "CIFAR100"),
}

EMNIST_NAME = re.compile(r"emnist-(balanced|byclass|bymerge|letters|digits|mnist)-(train|test)-(images|labels)-.*")
IDX_COUNTS = {  # images, or labels, of splits that only one data set has
    112_800: "EMNIST balanced",
    90_605: "EMNIST47",
    124_800: "EMNIST letters",
    20_800: "EMNIST letters",
    240_000: "EMNIST digits",
    40_000: "EMNIST digits",
    697_932: "EMNIST byclass or bymerge",
    116_323: "EMNIST byclass or bymerge",
}
IDX_MAGIC = (0x801, 0x803)  # uint8 labels, uint8 images


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hash a file: "<algorithm>:<hex digest>"."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"


def owner(path: Path) -> str | None:
    """Tell which data set a file belongs to, whatever it is called.

    Its checksum decides; if nobody publishes it, the count in its IDX header.

    Returns:
        The title of the data set; None if it cannot be told.
    """
    if not path.is_file():
        return None
    return _by_checksum(path) or _by_count(path)


def owner_by_name(path: Path) -> str | None:
    """Tell which data set a file belongs to, by its name if that says it, or else as `owner`."""
    variant = EMNIST_NAME.fullmatch(path.name)
    return f"EMNIST {variant[1]}" if variant else owner(path)


def _by_checksum(path: Path) -> str | None:
    found = checksum(path)
    for title, sums in SHA256.items():
        if found in sums.values():
            return title
    found = checksum(path, "md5")
    return next((title for title, sums in MD5.items() if found in sums().values()), None)


def _by_count(path: Path) -> str | None:
    with path.open("rb") as file:
        header = file.read(8)
    if len(header) < 8:
        return None
    magic, count = struct.unpack(">2I", header)
    return IDX_COUNTS.get(count) if magic in IDX_MAGIC else None
