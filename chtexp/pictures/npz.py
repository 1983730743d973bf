"""Images in one `.npz` file of NumPy: `x_train, y_train, x_test, y_test` as Keras has them, or `train_images, ...` as MedMNIST.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from chtexp.errors import Unavailable, UserError
from chtexp.pictures.decode import resized
from chtexp.pictures.found import Found, Part, Pixels
from chtexp.pictures.source import ImageSource, absolute

Names = tuple[str, str]  # of the arrays of a split: images, labels
TRAIN: tuple[Names, ...] = (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"), ("x", "y"))
TESTS: tuple[Names, ...] = tuple(
    pair
    for split in ("test", "val", "validation", "valid")
    for pair in ((f"x_{split}", f"y_{split}"), (f"{split}_images", f"{split}_labels"))
)
CHANNELS = (1, 2, 3, 4)  # how many an axis of channels may have


class NpzFile(ImageSource):
    """`data=npz`.

    Attributes:
        root: the file.
        layout: the axes of the images where their sizes do not tell it: `NHWC` or `NCHW`.
    """

    root: Path
    layout: Literal["NHWC", "NCHW"] | None = None

    @field_validator("root", mode="before")
    @classmethod
    def _absolute(cls, value: object) -> Path:
        return absolute(value, "data.root=photos.npz")

    @property
    def place(self) -> Path:
        """The file."""
        return self.root

    @property
    def title(self) -> str:
        """The file's name, without its suffix."""
        return self.root.stem

    def files(self) -> list[str]:
        """List the file."""
        if not self.root.is_file():
            what = "is no file" if self.root.exists() else "is not there"
            raise UserError(f"data.root {self.root} {what}: it must be an .npz file of images and labels")
        return [str(self.root)]

    def read(self) -> Found:
        """Read all arrays, none of which may be pickled."""
        self.files()
        try:
            with self.root.open("rb") as raw:
                file = np.load(raw, allow_pickle=False)
                if isinstance(file, np.ndarray):
                    raise UserError(
                        f"{self.root} is no .npz file, but a single array: save images and labels by np.savez"
                    )
                return self._of(file)
        except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            if isinstance(error, UserError):
                raise
            pickled = "object" in str(error).lower() or "pickle" in str(error).lower()
            reason = "it holds pickled objects, or is no .npz file" if pickled else " ".join(str(error).split())
            raise UserError(f"{self.root} cannot be read ({reason}): save plain arrays by np.savez") from None
        except OSError as error:
            raise Unavailable(f"cannot read {self.root}: {error.strerror or error}") from None

    def _of(self, file: Mapping[str, NDArray[np.generic]]) -> Found:
        there = {name.lower(): name for name in file}
        trains, tests = (
            [(there[images], there[labels]) for images, labels in pairs if {images, labels} <= there.keys()]
            for pairs in (TRAIN, TESTS)
        )
        if not trains:
            raise UserError(
                f"{self.root} holds {', '.join(file) or 'nothing'}: it must hold x_train and y_train, or train_images and "
                "train_labels, or images and labels"
            )
        wanted = [trains[0], *tests[:1]]
        images = [self._images(file[name], self._called(name)) for name, _ in wanted]
        if len({some.shape[1:] for some in images}) > 1:
            raise UserError(
                f"{self.root}: images of {wanted[0][0]} are {_shape(images[0])} and those of {wanted[1][0]} {_shape(images[1])} "
                "(channels x rows x columns): they must be alike, or be brought to one data.size"
            )
        labels = [
            _labels(file[name], self._called(name), len(some)) for (_, name), some in zip(wanted, images, strict=True)
        ]
        values = np.unique(labels[0])
        for (_, name), of_test in zip(wanted[1:], labels[1:], strict=True):
            if len(others := np.setdiff1d(of_test, values)):
                raise UserError(
                    f"class {others[0]!s} is in {self._called(name)} and not in {wanted[0][1]}, which has {_some(values)}"
                )
        parts = [
            Part(some, np.searchsorted(values, each).astype(np.int64), [str(index) for index in range(len(each))])
            for some, each in zip(images, labels, strict=True)
        ]
        unused = tuple(f"{self._called(name)} is not used" for pair in (*trains[1:], *tests[1:]) for name in pair)
        return Found(parts[0], parts[1] if tests else None, tuple(str(value) for value in values), unused)

    def _called(self, name: str) -> str:
        """An array, for messages."""
        return f"{name} of {self.root}"

    def _images(self, array: NDArray[np.generic], name: str) -> Pixels:
        """uint8 [N, C, H, W], of the size and the channels that were asked for."""
        if array.dtype != np.uint8:
            advice = "(x * 255).round().astype('uint8') if x is from 0 to 1"
            raise UserError(
                f"{name} is of {array.dtype}: images must be of uint8, 0 to 255; convert them, e.g. {advice}"
            )
        pixels = resized(np.ascontiguousarray(self._channels_first(array.view(np.uint8), name)), self.size)
        if self.channels in (None, pixels.shape[1]):
            return pixels
        if pixels.shape[1] == 1:
            return np.repeat(pixels, 3, axis=1)
        if pixels.shape[1] == 3:
            red, green, blue = (pixels[:, channel].astype(np.uint32) for channel in range(3))
            return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, None]  # as Pillow
        raise UserError(
            f"data.channels={self.channels}, but {name} has {pixels.shape[1]} channels: leave data.channels out"
        )

    def _channels_first(self, array: Pixels, name: str) -> Pixels:
        if array.ndim == 3 and self.layout is None and len(array):
            return array[:, None]
        if array.ndim != 4 or not len(array):
            raise UserError(f"{name} is {_shape(array)}: images must be [N, H, W], [N, H, W, C] or [N, C, H, W]")
        last, first = (array.shape[axis] in CHANNELS for axis in (3, 1))
        if self.layout is None and last == first:
            raise UserError(
                f"{name} is {_shape(array)}, which does not tell where the channels are: add data.layout=NHWC or data.layout=NCHW"
            )
        is_last = last if self.layout is None else self.layout == "NHWC"
        return array.transpose(0, 3, 1, 2) if is_last else array


def _labels(array: NDArray[np.generic], name: str, images: int) -> NDArray[np.generic]:
    """[N], whole numbers or strings."""
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1:
        raise UserError(f"{name} is {_shape(array)}: labels must be [N] or [N, 1], one class for each image")
    if flat.dtype.kind not in "iuU":
        raise UserError(f"{name} is of {array.dtype}: labels must be whole numbers, or strings")
    if len(flat) != images:
        raise UserError(f"{name} has {len(flat)} labels for {images} images: there must be one for each")
    return flat


def _shape(array: NDArray[np.generic]) -> str:
    return "x".join(str(size) for size in array.shape)


def _some(values: Sequence[object] | NDArray[np.generic], most: int = 12) -> str:
    shown = ", ".join(str(value) for value in values[:most])
    return f"{shown}, ..." if len(values) > most else shown
