"""Images that a plug-in makes or reads: a function that returns arrays.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import create_model

from chtexp.config.plugged import Registered
from chtexp.errors import UserError
from chtexp.pictures.found import Found, Part
from chtexp.pictures.source import ImageSource

SHAPES = "uint8 images [N, C, H, W] or [N, H, W], and a whole number from 0 on for each"


class OwnSource(ImageSource):
    """Images of a plug-in's function.

    Attributes:
        own: the function.
        sha256: the hash of the plug-in's source.
    """

    own: ClassVar[Registered]

    sha256: str

    @property
    def place(self) -> Path | None:
        """None: the function alone knows where they come from."""
        return None

    @property
    def title(self) -> str:
        """The name that the function is registered by."""
        return self.own.name

    @property
    def live(self) -> bool:
        """The function is called by every command that describes a run: it may read files that have changed."""
        return True

    def files(self) -> list[str]:
        """List nothing: see `live`."""
        return []

    def read(self) -> Found:
        """Call the function.

        Raises:
            UserError: it fails, or returns something else than images and labels.
        """
        if self.size or self.channels:
            raise UserError(f"data.size and data.channels are not for {self.own.title}, which makes its images itself")
        values = {name: getattr(self, name) for name in self.own.parameters.model_fields}
        train, test = _splits(self.own, self.own.call(values, {}))
        if test is not None and test.images.shape[1:] != train.images.shape[1:]:
            raise UserError(
                f"{self.own.title} returns train images {list(train.images.shape[1:])} and test images "
                f"{list(test.images.shape[1:])}: they must be of one shape"
            )
        labels = np.concatenate([train.labels, test.labels if test else train.labels])
        classes = tuple(str(label) for label in range(int(labels.max()) + 1))
        return Found(train, test, classes)


@cache
def own_source(own: Registered, sha256: str) -> type[ImageSource]:
    """The kind of source that a plug-in's function is.

    Args:
        own: the function.
        sha256: the hash of the plug-in's source.
    """
    fields: Mapping[str, Any] = {name: (info.annotation, info) for name, info in own.parameters.model_fields.items()}
    made = create_model(f"{own.name}", __base__=OwnSource, sha256=(str, sha256), **fields)
    made.own = own
    return made


def _splits(own: Registered, found: object) -> tuple[Part, Part | None]:
    """Images and labels of both splits; of one, where the function returns one."""
    pairs = [found] if _is_pair(found) else found if isinstance(found, tuple | list) else None
    if pairs is None or len(pairs) not in (1, 2) or not all(map(_is_pair, pairs)):
        raise UserError(
            f"{own.title} must return (images, labels), or that twice, of train and test: {SHAPES}; not {type(found).__name__}"
        )
    parts = [_part(own, pair[0], pair[1], split) for pair, split in zip(pairs, ("train", "test"), strict=False)]
    return parts[0], parts[1] if len(parts) == 2 else None


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(hasattr(one, "shape") for one in value)


def _part(own: Registered, images: Any, labels: Any, split: str) -> Part:
    pixels: NDArray[Any] = np.asarray(images)
    numbers: NDArray[Any] = np.asarray(labels)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    whole = pixels.ndim == 4 and pixels.dtype == np.uint8 and numbers.shape == pixels.shape[:1] and len(pixels) > 0
    if not whole or numbers.dtype.kind not in "iu" or int(numbers.min()) < 0:
        said = f"{pixels.dtype} {list(pixels.shape)} and {numbers.dtype} {list(numbers.shape)}"
        raise UserError(f"{own.title} must return {SHAPES}, not {said} as its {split} split")
    return Part(np.ascontiguousarray(pixels), numbers.astype(np.int64), [f"{index:09}" for index in range(len(pixels))])
