"""Images in folders, a folder a class: `DIR/train/cat/1.png` and `DIR/test/cat/2.png`, or `DIR/cat/1.png`.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import field_validator

from chtexp.errors import Unavailable, UserError
from chtexp.pictures.decode import Encoded, decoded
from chtexp.pictures.found import Found, Part, Pixels
from chtexp.pictures.source import ImageSource, absolute

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
TRAIN = "train"
TESTS = ("test", "val", "validation", "valid")  # the first that is there is tested on
NOT_MEANT = ("__MACOSX",)  # folders of archives, which are no classes


class Classes(NamedTuple):
    """The images of one split.

    Attributes:
        folder: that holds a folder of each class.
        files: of each class, sorted; as strings, for there may be many.
    """

    folder: Path
    files: Mapping[str, Sequence[str]]

    @property
    def paths(self) -> list[str]:
        """All files, by class."""
        return [path for name in sorted(self.files) for path in self.files[name]]

    def part(self, images: Pixels, classes: Sequence[str]) -> Part:
        """Give the decoded images of `paths`, uint8 [N, C, H, W], their labels and names."""
        each = sorted(self.files)
        labels = np.repeat([classes.index(name) for name in each], [len(self.files[name]) for name in each])
        names = [path[len(str(self.folder)) + 1 :] for path in self.paths]
        return Part(images, labels.astype(np.int64), names)


@dataclass(frozen=True)
class Layout:
    """Which images of a folder belong to which class and split.

    Attributes:
        train: the images to learn from.
        test: those to test on; None: no test split is given.
        unused: other splits that are there.
    """

    train: Classes
    test: Classes | None
    unused: tuple[str, ...] = ()


class ImageFolder(ImageSource):
    """`data=image_folder`.

    Attributes:
        root: the folder.
    """

    root: Path

    @field_validator("root", mode="before")
    @classmethod
    def _absolute(cls, value: object) -> Path:
        return absolute(value, "data.root=photos")

    @property
    def place(self) -> Path:
        """The folder."""
        return self.root

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.root.name or "images"

    def files(self) -> list[str]:
        """List the images of all classes and splits that are used."""
        layout = layout_of(self.root)
        return [*layout.train.paths, *(layout.test.paths if layout.test else [])]

    def read(self) -> Found:
        """Read all images. Both splits are decoded together, so that they have one size and as many channels."""
        layout = layout_of(self.root)
        classes = tuple(sorted(layout.train.files))
        pixels, notes = decoded([Encoded(path, Path(path)) for path in self.files()], self.size, self.channels)
        trained = len(layout.train.paths)
        train = layout.train.part(pixels[:trained], classes)
        test = layout.test.part(pixels[trained:], classes) if layout.test else None
        unused = (f"{', '.join(layout.unused)} in {self.root} is not used",) if layout.unused else ()
        return Found(train, test, classes, (*notes, *unused))


def layout_of(root: Path) -> Layout:
    """Find out which images of a folder belong to which class and split, from their names alone.

    Args:
        root: the folder.

    Raises:
        UserError: there is no such folder, it holds no images, or it is not clear what they are.
        Unavailable: the folder cannot be listed.
    """
    if not root.is_dir():
        what = "is no folder" if root.exists() else "is not there"
        raise UserError(f"data.root {root} {what}: it must be a folder that holds a folder of images for each class")
    try:
        return _layout(root)
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename or root}: {error.strerror or error}") from None


def _layout(root: Path) -> Layout:
    names = _folders(root)
    folders = {name.lower(): root / name for name in names}
    if len(folders) < len(names):
        twice = next(name for name in names if folders[name.lower()].name != name)
        raise UserError(f"{root} holds {twice}/ and {folders[twice.lower()].name}/: put their images into one of them")
    tests = [name for name in TESTS if name in folders]
    if TRAIN not in folders:
        if tests:
            raise UserError(f"{root} holds {tests[0]}/ and no train/: put the images to learn from into {root / TRAIN}")
        return Layout(_classes(root), None)
    for name, folder in folders.items():
        if name not in (TRAIN, *TESTS) and any(_images(folder)):
            raise UserError(
                f"{root} holds train/ and, beside it, images in {folder.name}/, which is no split: move that folder away, or "
                f"call it test"
            )
    train = _classes(folders[TRAIN])
    if not tests:
        return Layout(train, None)
    test = _classes(folders[tests[0]])
    if others := sorted(set(test.files) - set(train.files)):
        raise UserError(
            f"class '{others[0]}' is in {folders[tests[0]]} and not in {folders[TRAIN]}, "
            f"whose classes are: {', '.join(sorted(train.files))}"
        )
    return Layout(train, test, tuple(f"{folders[name].name}/" for name in tests[1:]))


def _classes(folder: Path) -> Classes:
    """The images of each class: of each folder in a folder."""
    loose = [entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(SUFFIXES) and entry.is_file()]
    found = {name: _images(folder / name) for name in _folders(folder)}
    if loose and not found:
        raise UserError(
            f"the {len(loose)} images in {folder} are in no class's folder: make one for each class, "
            f"e.g. {folder / 'cat' / min(loose)}"
        )
    if loose:
        raise UserError(f"{folder / min(loose)} is in no class's folder: move it into one, or away")
    if not found or not any(found.values()):
        raise UserError(f"{folder} holds no images ({', '.join(SUFFIXES)}) in folders, one for each class")
    for name, images in found.items():
        if not images:
            raise UserError(f"{folder / name} holds no images ({', '.join(SUFFIXES)}): add some, or remove that folder")
    return Classes(folder, found)


def _folders(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith(".") and entry.name not in NOT_MEANT and entry.is_dir()
    )


def _images(folder: Path) -> list[str]:
    """All images below a folder, sorted; what is hidden is left out."""
    found, seen = [], set[tuple[int, int]]()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            raise UserError(f"{here} is a link to a folder that is read already: remove it")
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NOT_MEANT]
        found += [
            os.path.join(here, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
