"""What a person may set: KEY=VALUE words to one checked description, lists by commas."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from chtexp.errors import UserError
from chtexp.typed import Description, describe

T = TypeVar("T")


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
    """data: root of the data sets, by default where CHTEXP_DATA says; None: there is none."""

    data: Annotated[Path | None, BeforeValidator(_nothing)] = Field(
        default_factory=lambda: Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None
    )


class Settings(Description):
    """threads: torch's, and so the kernels' (None: as they are). seed: of weights, masks and inputs."""

    threads: Annotated[int, Field(ge=1, le=os.cpu_count() or 1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @classmethod
    def read(cls, words: Sequence[str], compose: Callable[[Sequence[str]], Any]) -> Self:
        """`words`, each KEY=VALUE. compose: makes a run of such words, for settings that describe one."""
        return read_settings(cls, words)


class TimedSettings(Settings):
    """rounds: turns of each candidate. seconds: about so long is each candidate of a comparison timed."""

    rounds: Annotated[int, Field(ge=3)] = 10
    seconds: Annotated[float, Field(gt=0)] = 3.0


S = TypeVar("S", bound=Settings)


def read_settings(cls: type[S], words: Sequence[str]) -> S:
    """`words`, each KEY=VALUE, as a `cls`; UserError names what is wrong and what is allowed."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"cannot read '{word}': a setting is key=value, one of: {', '.join(_keys(cls))}")
        *outer, last = key.split(".")
        place = values
        for name in outer:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise UserError(f"{name} is given twice")
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
