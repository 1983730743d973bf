"""Encoded images in parquet files with the hub's schema: `img` is {bytes, path} or bytes, the label an integer.

The label's column is `label` in CIFAR-10 and `fine_label` in CIFAR-100.

Copies differ in their encoding (PNG keeps every pixel, JPEG does not), so the source names it.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from chtexp.data.checksums import check_split, corrupt, foreign, matching
from chtexp.data.spec import Arrays, ImageSet, stand_in_data

PATTERNS = {"train": "*train*.parquet", "test": "*test*.parquet"}
MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PN": "PNG"}  # the first three bytes of an encoded image
FORMATS = tuple(MAGIC.values())
OF_COLUMN = {"label": "CIFAR-10", "fine_label": "CIFAR-100"}
OF_CLASSES = {10: "CIFAR-10", 20: "CIFAR-100 with its 20 coarse classes", 100: "CIFAR-100"}


def read_parquet_set(spec: ImageSet, folder: Path, label_column: str = "label") -> Arrays:
    """Read and decode both splits, each of one or more files.

    Args:
        spec: the data set.
        folder: of the files.
        label_column: of the labels.

    Raises:
        DataError: a broken file, a wrong schema, a wrong number of rows, a label out of range, the other CIFAR's columns or
            number of classes, or an image that does not decode to C x H x W.
    """
    splits = []
    encodings: set[str] = set()
    for split, examples in (("train", spec.train_examples), ("test", spec.test_examples)):
        shards = [_read_shard(spec, path, label_column) for path in matching(folder, PATTERNS[split])]
        images = torch.cat([images for images, _, _ in shards])
        labels = torch.cat([labels for _, labels, _ in shards])
        _check_classes(spec, folder / PATTERNS[split], labels)
        check_split(spec, folder / PATTERNS[split], examples, images, labels)
        encodings = encodings.union(*(encodings for _, _, encodings in shards))
        splits.append((images, labels))
    source = f"parquet ({' and '.join(sorted(encodings))} images)"
    lossy = stand_in_data(source) if "JPEG" in encodings else ()
    return Arrays(train=splits[0], test=splits[1], source=source, deviations=lossy)


def _check_classes(spec: ImageSet, path: Path, labels: Tensor) -> None:
    """Raise `DataError` if a split has exactly the classes of the other CIFAR, as its labels' column can be renamed."""
    found = int(labels.max()) + 1 if len(labels) else 0
    if found != spec.classes and found in OF_CLASSES:
        raise foreign(spec, path, OF_CLASSES[found], f"labels 0..{spec.classes - 1}", f"0..{found - 1}")


def _read_shard(spec: ImageSet, path: Path, label_column: str) -> tuple[Tensor, Tensor, set[str]]:
    """The images uint8 [N, C, H, W], the labels int64 [N] and the encodings of one file."""
    encoded, labels = _read_columns(spec, path, label_column)
    channels, height, width = spec.shape
    pixels = bytearray().join(_decode(spec, path, row, image) for row, image in enumerate(encoded))
    images = np.frombuffer(pixels, dtype=np.uint8).reshape(len(encoded), height, width, channels)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()  # [N, H, W, C] -> [N, C, H, W]
    return channels_first, labels, {MAGIC[image[:3]] for image in encoded}


def _read_columns(spec: ImageSet, path: Path, label_column: str) -> tuple[list[bytes], Tensor]:
    """The encoded images and the labels int64 [N] of one file, its schema checked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise corrupt(spec, path, "a parquet file", " ".join(str(error).split())) from None
    names = set(table.column_names)
    if not {"img", label_column} <= names:
        expected, found = f"the columns img and {label_column}", ", ".join(table.column_names) or "none"
        for column in sorted(OF_COLUMN.keys() & names if "img" in names else ()):
            raise foreign(spec, path, OF_COLUMN[column], expected, found)
        raise corrupt(spec, path, expected, found)
    image, label = (table.column(name).combine_chunks() for name in ("img", label_column))
    if pa.types.is_struct(image.type) and image.type.get_field_index("bytes") >= 0:
        image = image.field("bytes")
    holds_bytes = pa.types.is_binary(image.type) or pa.types.is_large_binary(image.type)
    if not holds_bytes or not pa.types.is_integer(label.type):
        expected = f"img {{bytes, path}} or bytes, and {label_column} an integer"
        raise corrupt(spec, path, expected, f"{image.type}, {label.type}")
    if image.null_count or label.null_count:
        raise corrupt(spec, path, "no empty rows", f"{image.null_count + label.null_count}")
    return image.to_pylist(), torch.tensor(label.to_pylist(), dtype=torch.int64)


def _decode(spec: ImageSet, path: Path, row: int, encoded: bytes) -> bytes:
    """The pixels of one image: H x W x C bytes."""
    channels, height, width = spec.shape
    expected = f"a {height}x{width} image of {channels} channels in row {row}"
    try:
        image = Image.open(BytesIO(encoded), formats=FORMATS)
        pixels = image.tobytes()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error):
        found = f"{len(encoded)} bytes beginning {encoded[:8]!r} that do not decode"
        raise corrupt(spec, path, expected, found) from None
    if image.size != (width, height) or len(pixels) != width * height * channels:
        found = f"{image.height}x{image.width} {image.mode}"
        raise corrupt(spec, path, expected, found)
    return pixels
