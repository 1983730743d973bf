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
        """Return what the drawing of this kind takes besides the numbers."""
        return self.model_dump(exclude={"kind"})

    def rows(self) -> Iterator[str]:
        """Iterate over the rows that it names."""
        yield from ()


class BarsFigure(_Figure):
    """A bar chart: a panel a column, a bar a row.

    Attributes:
        kind: `bars`.
    """

    kind: Literal["bars"]


class CurvesFigure(_Figure):
    """Quantities over training, a line a row.

    Attributes:
        kind: `curves`.
        quantities: what is drawn.
        against: the horizontal axis: training steps, or seconds.
    """

    kind: Literal["curves"]
    quantities: tuple[Quantity, ...] = Field(("metric", "density", "anp", "itop", "overlap"), min_length=1)
    against: Literal["step", "seconds"] = "step"


class HeatMapFigure(_Figure):
    """A heat map: rows down, columns across.

    Attributes:
        kind: `heat_map`.
        across: what the columns are, in words.
        down: what the rows are, in words.
    """

    kind: Literal["heat_map"]
    across: str
    down: str


class WinRatesFigure(_Figure):
    """Win rates of contestants in several contests.

    Attributes:
        kind: `win_rates`.
        contests: the contestants of each contest, by its title. A contestant has a name, and the rows that it stands for.
    """

    kind: Literal["win_rates"]
    contests: dict[str, Annotated[dict[str, Names], Field(min_length=2)]] = Field(min_length=1)

    def rows(self) -> Iterator[str]:
        """Iterate over the rows of all contestants."""
        for contestants in self.contests.values():
            for rows in contestants.values():
                yield from rows


GridFigure = Annotated[BarsFigure | CurvesFigure | HeatMapFigure | WinRatesFigure, Field(discriminator="kind")]
