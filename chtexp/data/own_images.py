"""Images of one's own as tensors: what `chtexp.pictures` keeps of them, loaded as fast as any other data set.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from chtexp.config.own_images import OwnImages, kept_images
from chtexp.data.spec import ImageData

SHOWN = 10  # classes that are named


def load_own_images(name: str, own: OwnImages, cache: Path) -> ImageData:
    """Load images of one's own.

    Args:
        name: of the data set.
        own: where they were found, and what they are.
        cache: the root of prepared data.

    Returns:
        Images uint8 [N, C, H, W] and labels int64 [N] of each split.

    Raises:
        UserError: they are neither kept nor where they were, or have changed.
    """
    pictures = kept_images(own, cache).pictures(own.fingerprint)
    return ImageData(
        name=name,
        train_images=torch.from_numpy(pictures.train_images),
        train_labels=torch.from_numpy(pictures.train_labels),
        test_images=torch.from_numpy(pictures.test_images),
        test_labels=torch.from_numpy(pictures.test_labels),
        classes=len(own.class_names),
        source=f"own images ({own.source})",
    )


def prepare_own_images(name: str, own: OwnImages, cache: Path, log: Callable[[str], object] = print) -> None:
    """Compare every byte of images of one's own with what was measured, and say what they are.

    Those of the hub are loaded and measured anew, for there is nothing here to compare with.

    Args:
        name: of the data set.
        own: where they were found, and what they are.
        cache: the root of prepared data.
        log: told what they are.

    Raises:
        FilesChanged: they are not those that were measured.
    """
    kept = kept_images(own, cache)
    record = kept.verify() if kept.source.place else kept.measure_anew()
    channels, rows, columns = record.shape
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    counts = f"{sum(record.train_counts)} train and {sum(record.test_counts)} test images"
    log(f"{name}: {counts} of {len(record.classes)} classes, {rows}x{columns}, {colour}; test split: {record.split}")
    shown = [
        f"{label} ({train} + {test})"
        for label, train, test in zip(record.classes, record.train_counts, record.test_counts, strict=True)
    ]
    log(f"classes: {', '.join(shown[:SHOWN])}{f' and {len(shown) - SHOWN} more' if len(shown) > SHOWN else ''}")
    log(f"mean {list(record.mean)}, std {list(record.std)} of the training pixels")
    for note in (*record.notes, *([f"revision {record.revision}"] if record.revision else [])):
        log(f"note: {note}")
    log(f"measured {record.measured}, kept in {kept.folder}; {record.fingerprint}")
