"""Images in a data set of the Hugging Face hub, or in a local folder of Parquet or Arrow files, by the `datasets` library.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import field_validator

from chtexp.errors import Unavailable, UserError, unknown
from chtexp.pictures.decode import Encoded, decoded
from chtexp.pictures.found import Found, Labels, Part
from chtexp.pictures.source import ImageSource

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

TRAIN, TESTS = "train", ("test", "validation", "val", "valid")
SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves
COMMIT = re.compile(r"@([0-9a-f]{40})/")


class HubImages(ImageSource):
    """`data=hub`.

    Attributes:
        repository: OWNER/NAME on the hub, or a local folder.
        config: of a data set that has several.
        revision: branch, tag or commit; None: the newest.
        train_split: the split to learn from.
        test_split: the split to test on; None: test, validation, val or valid, the first that is there.
        image_column: None: the only column of images.
        label_column: None: the only column of classes, or `label`.
    """

    repository: str
    config: str | None = None
    revision: str | None = None
    train_split: str = TRAIN
    test_split: str | None = None
    image_column: str | None = None
    label_column: str | None = None

    @field_validator("repository", mode="before")
    @classmethod
    def _local_or_named(cls, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("must name a data set, e.g. data.repository=OWNER/NAME, or a local folder")
        path = Path(value).expanduser()
        if path.is_dir() or value.startswith(("/", ".", "~")):
            return str(path.absolute())
        return value

    @property
    def place(self) -> Path | None:
        """The folder; None of a data set on the hub."""
        return Path(self.repository) if self.repository.startswith("/") else None

    @property
    def title(self) -> str:
        """The last part of the repository's name."""
        return self.repository.rpartition("/")[2] or "images"

    def files(self) -> list[str]:
        """List the files of a local folder; of a data set on the hub there are none."""
        if self.place is None:
            return []
        if not self.place.is_dir():
            raise UserError(f"data.repository {self.place} is no folder: it must be one, or OWNER/NAME on the hub")
        return sorted(
            str(path)
            for path in self.place.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.place).parts)
        )

    def read(self) -> Found:
        """Read all images. Both splits are decoded together, so that they have one size and as many channels."""
        self.files()
        splits = self._loaded()
        if self.train_split not in splits:
            raise unknown("data.train_split", self.train_split, splits)
        if self.test_split is not None and self.test_split not in splits:
            raise unknown("data.test_split", self.test_split, splits)
        tests = [self.test_split] if self.test_split else [name for name in TESTS if name in splits]
        tests = [name for name in tests if name != self.train_split]
        chosen = [splits[name] for name in (self.train_split, *tests[:1])]
        image, label = self._columns(chosen[0])
        for part in chosen:
            if missing := [column for column in (image, label) if column not in part.column_names]:
                raise UserError(
                    f"{self.repository}: a split has no column {missing[0]}: {', '.join(part.column_names)}"
                )
        encoded = [_encoded(part, image, f"{self.repository}, {part.split}") for part in chosen]
        pixels, notes = decoded([one for part in encoded for one in part], self.size, self.channels)
        classes, labels = self._labels(chosen, label)
        edges = np.cumsum([0, *(len(part) for part in encoded)])
        parts = [
            Part(pixels[first:last], each, [str(index) for index in range(len(each))])
            for first, last, each in zip(edges[:-1], edges[1:], labels, strict=True)
        ]
        unused = sorted(set(splits) - {self.train_split, *tests[:1]})
        said = (f"split {', '.join(unused)} of {self.repository} is not used",) if unused else ()
        revision = _revision(chosen[0]) or self.revision
        return Found(parts[0], parts[1] if tests else None, classes, (*notes, *said), revision)

    def _loaded(self) -> DatasetDict:
        """All splits, by name."""
        import datasets

        with _one_line(self.repository, local=self.place is not None), _silent():
            if self.place and any((self.place / name).exists() for name in SAVED):
                saved = datasets.load_from_disk(self.repository)
            else:
                saved = datasets.load_dataset(self.repository, self.config, revision=self.revision)
        return saved if isinstance(saved, datasets.DatasetDict) else datasets.DatasetDict({self.train_split: saved})

    def _columns(self, part: Dataset) -> tuple[str, str]:
        """The names of the columns of images and labels."""
        from datasets import ClassLabel, Image

        features = part.features
        images = [name for name, feature in features.items() if isinstance(feature, Image)]
        classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
        named = [name for name in ("label", "labels") if name in features]
        image = self._column("image", images or [name for name in ("image", "img") if name in features], part)
        return image, self._column("label", classes if len(classes) == 1 else named or classes, part)

    def _column(self, kind: str, candidates: list[str], part: Dataset) -> str:
        asked = self.image_column if kind == "image" else self.label_column
        if asked is not None:
            if asked not in part.column_names:
                raise unknown(f"data.{kind}_column", asked, part.column_names)
            return asked
        if len(candidates) != 1:
            found = f"several columns may hold the {kind}" if candidates else f"no column is known to hold the {kind}"
            raise UserError(
                f"{self.repository}: {found}; add data.{kind}_column=, one of: {', '.join(candidates or part.column_names)}"
            )
        return candidates[0]

    def _labels(self, parts: list[Dataset], column: str) -> tuple[tuple[str, ...], list[Labels]]:
        """The names of the classes, in the order of their labels, and the labels of each split."""
        from datasets import ClassLabel

        feature = parts[0].features[column]
        values = [list(part[column]) for part in parts]
        if bad := [
            value for part in values for value in part if isinstance(value, bool) or not isinstance(value, int | str)
        ]:
            raise UserError(f"{self.repository}: {column} holds {bad[0]!r}: labels must be whole numbers, or strings")
        if isinstance(feature, ClassLabel):
            names, known = tuple(map(str, feature.names)), list(range(len(feature.names)))
        else:
            known = sorted(set(values[0]), key=lambda value: (isinstance(value, str), value))
            names = tuple(map(str, known))
        of_value = {value: label for label, value in enumerate(known)}
        for part in values:
            if others := [value for value in part if value not in of_value]:
                raise UserError(
                    f"{self.repository}: {column} holds {others[0]!r}, which is no class of the split to learn from"
                    + (
                        " (-1 means that the label is withheld: choose another data.test_split)"
                        if others[0] == -1
                        else ""
                    )
                )
        return names, [np.array([of_value[value] for value in part], dtype=np.int64) for part in values]


def _encoded(part: Dataset, column: str, where: str) -> list[Encoded]:
    """The images of a split, not decoded."""
    from datasets import Image

    with _one_line(where, local=True):
        rows = part.select_columns([column]).cast_column(column, Image(decode=False))
        contents = [row[column] for row in rows]
    found = []
    for number, content in enumerate(contents):
        name = f"{where}, row {number}"
        if not isinstance(content, Mapping) or not (content["bytes"] or content["path"]):
            raise UserError(f"{name} holds no image")
        found.append(Encoded(name, content["bytes"] or Path(content["path"])))
    return found


def _revision(part: Dataset) -> str | None:
    """The commit of the hub that a split was loaded from."""
    sources = " ".join(part.info.download_checksums or {})
    found = COMMIT.search(sources)
    return found and found[1]


@contextmanager
def _silent() -> Iterator[None]:
    """No progress bars of a library between our lines."""
    import datasets

    were = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were:
            datasets.enable_progress_bars()


@contextmanager
def _one_line(what: str, *, local: bool) -> Iterator[None]:
    """Whatever `datasets` raises, as one line: a mistake if it is about local files or an unknown name, else no answer."""
    from datasets.exceptions import DatasetNotFoundError

    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of several libraries, with no common ancestor
        reason = " ".join(str(error).split()) or type(error).__name__
        kind: Callable[[str], UserError] = (
            UserError if local or isinstance(error, DatasetNotFoundError | ValueError) else Unavailable
        )
        advice = "" if local else "; without a network, name a local folder of its files: data.repository=FOLDER"
        raise kind(f"cannot load the data set {what}: {reason}{advice}") from None
