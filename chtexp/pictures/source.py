"""A source of images: where they lie, what is made of them, and how they are read. The kinds of sources are `SOURCES`.

A new kind is a subclass of `ImageSource`, put into `SOURCES` by its name, and a `conf/data/<name>.yaml` with `source: <name>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt

from chtexp.pictures.found import Found


def _rows_and_columns(value: object) -> object:
    if isinstance(value, int):
        return value, value
    if value is None or (isinstance(value, list | tuple) and len(value) == 2):
        return value
    raise ValueError(f"must be a number of pixels, e.g. 32, or [rows,columns], not {value!r}")


Size = Annotated[tuple[PositiveInt, PositiveInt] | None, BeforeValidator(_rows_and_columns)]


class ImageSource(BaseModel):
    """Images of one's own, as a person asks for them. Everything here decides which pixels are learned from.

    Attributes:
        size: rows and columns that every image is brought to; None: as they are.
        channels: 1 is grey, 3 is colour; None: grey if all images are.
        test_fraction: the part of each class that is held out for the test, in (0, 1), where no test split is given; None: 0.2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    size: Size = None
    channels: Literal[1, 3] | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def place(self) -> Path | None:
        """The folder or the file that the images lie in; None: not on this machine's disk."""
        raise NotImplementedError

    @property
    def live(self) -> bool:
        """Whether only reading the images tells that they are others than before."""
        return False

    @property
    def title(self) -> str:
        """The name of the data set, if the person gives it none."""
        raise NotImplementedError

    def files(self) -> list[str]:
        """List the files that are read; a later change of one is noticed.

        Raises:
            UserError: there is nothing to read.
        """
        raise NotImplementedError

    def read(self) -> Found:
        """Read all images.

        Raises:
            UserError: a file that cannot be read, or that holds what is no image.
        """
        raise NotImplementedError


def absolute(value: object, hint: str) -> Path:
    """A path that was typed, as an absolute one: `~` is the home folder, and what is relative is so to the working folder.

    Args:
        value: as typed.
        hint: what to type where nothing was.

    Raises:
        ValueError: nothing was typed.
    """
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError(f"must say where the images lie, e.g. {hint}")
    return Path(value).expanduser().absolute()
