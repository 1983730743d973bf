"""How a grid is drawn: a kind of figure, and what that kind needs to know. The names are those of `chtexp.report.figures`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from chtexp.config.typed import Description, Words

Names = Annotated[Words, Field(min_length=1)]
Quantity = Literal["metric", "train_loss", "density", "anp", "itop", "overlap"]


class _Figure(Description):
    kind: str

    def options(self) -> dict[str, Any]:
        """What the drawing of this kind takes besides the numbers."""
        return self.model_dump(exclude={"kind"})

    def rows(self) -> Iterator[str]:
        """The rows that it names."""
        yield from ()


class BarsFigure(_Figure):
    """A panel a column, a bar a row."""

    kind: Literal["bars"]


class CurvesFigure(_Figure):
    """Quantities over training, a line a row. against: what lies across."""

    kind: Literal["curves"]
    quantities: tuple[Quantity, ...] = Field(("metric", "density", "anp", "itop", "overlap"), min_length=1)
    against: Literal["step", "seconds"] = "step"


class HeatMapFigure(_Figure):
    """Rows down, columns across. across, down: what these are, in words."""

    kind: Literal["heat_map"]
    across: str
    down: str


class WinRatesFigure(_Figure):
    """contests: by title, the contestants by name, each with the rows that it stands for."""

    kind: Literal["win_rates"]
    contests: dict[str, Annotated[dict[str, Names], Field(min_length=2)]] = Field(min_length=1)

    def rows(self) -> Iterator[str]:
        for contestants in self.contests.values():
            for rows in contestants.values():
                yield from rows


GridFigure = Annotated[BarsFigure | CurvesFigure | HeatMapFigure | WinRatesFigure, Field(discriminator="kind")]
