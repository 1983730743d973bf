"""What a person may set: KEY=VALUE words to one checked description, lists by commas."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from chtexp.config.run import Run
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError

T = TypeVar("T")
Compose = Callable[[Sequence[str]], Run]  # makes a run of words KEY=VALUE
Values = dict[str, "str | Values"]


def _by_commas(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    for value in values:
        if values.count(value) > 1:
            raise UserError(f"names {value} twice")
    return values


def _nothing(value: object) -> object:
    return None if value == "" else value


PositiveInt = Annotated[int, Field(ge=1)]
Density = Annotated[float, Field(gt=0, le=1)]
Densities = Annotated[tuple[Density, ...], BeforeValidator(_by_commas), AfterValidator(_distinct), Field(min_length=1)]
Sizes = Annotated[tuple[PositiveInt, ...], BeforeValidator(_by_commas), AfterValidator(_distinct), Field(min_length=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(_by_commas), AfterValidator(_distinct), Field(min_length=1)]
Widths = Annotated[tuple[PositiveInt, ...] | None, BeforeValidator(_by_commas)]


class DataPath(Description):
    """Where data sets lie.

    Attributes:
        data: their root, by default what CHTEXP_DATA says; None: there is none.
    """

    data: Annotated[Path | None, BeforeValidator(_nothing)] = Field(
        default_factory=lambda: Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None
    )


class Settings(Description):
    """What every benchmark lets a person set.

    Attributes:
        threads: torch's, and so the kernels'; None: as many as it has.
        seed: of weights, masks and inputs.
    """

    threads: Annotated[int, Field(ge=1, le=os.cpu_count() or 1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @classmethod
    def read(cls, words: Sequence[str], compose: Compose) -> Self:
        """Read settings.

        Args:
            words: each KEY=VALUE.
            compose: makes a run of such words, for settings that describe one.

        Raises:
            UserError: what is wrong, and what is allowed.
        """
        return read_settings(cls, words)


class TimedSettings(Settings):
    """How long a comparison is timed.

    Attributes:
        rounds: turns of each candidate.
        seconds: about so long is each candidate timed.
    """

    rounds: Annotated[int, Field(ge=3)] = 10
    seconds: Annotated[float, Field(gt=0)] = 3.0


S = TypeVar("S", bound=Settings)


def read_settings(cls: type[S], words: Sequence[str]) -> S:
    """Read settings.

    Args:
        cls: what may be set.
        words: each KEY=VALUE.

    Raises:
        UserError: what is wrong, and what is allowed.
    """
    values: Values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"cannot read '{word}': a setting is key=value, one of: {', '.join(_keys(cls))}")
        *outer, last = key.split(".")
        place = values
        for name in outer:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                raise UserError(f"{name} is given twice")
            place = inner
        if last in place:
            raise UserError(f"{key} is given twice")
        place[last] = value
    return describe(cls, values)


def _keys(cls: type[Settings]) -> list[str]:
    return [
        f"{name}.{inner}" if inner else name
        for name, field in cls.model_fields.items()
        for inner in (DataPath.model_fields if field.annotation is DataPath else ("",))
    ]
