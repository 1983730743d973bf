"""A figure's page: a title, a legend outside the data, panels in rows and columns, and what must be said below them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.style import FONT, styled

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

LINE = 1.35 * FONT / 72  # inches from one line of text to the next
LETTER = 0.56 * FONT / 72  # inches that a letter takes on average
LEGEND_LETTER = 0.115
BOLD = 0.85  # as many bold letters take that room
NARROWEST = 11.0  # inches, so that title and notes find room
MARGIN = 0.12
DIGITS = 5  # of a place, as a share of the figure


class Sheet:
    """The page of a figure: draw into `axes`, an object array [rows, columns], add `entry`s to the legend, and `finish` it."""

    def __init__(
        self, title: str, rows: int, columns: int, *, panel: tuple[float, float] = (5.4, 3.3), sharey: bool = False
    ) -> None:
        """Lay out the panels.

        Args:
            title: it is wrapped to the width.
            rows: of panels.
            columns: of panels.
            panel: width and height of one panel, in inches.
            sharey: whether the panels share one vertical axis.
        """
        from matplotlib.figure import Figure

        with styled():
            self._size = (max(NARROWEST, columns * panel[0]), rows * panel[1])
            self.figure: Figure = Figure(figsize=self._size, layout="constrained")
            self.axes: np.ndarray = self.figure.subplots(rows, columns, squeeze=False, sharey=sharey)
        self._title = title
        self._entries: dict[str, Artist | tuple[Artist, ...]] = {}

    def entry(self, name: str, handle: Artist | tuple[Artist, ...]) -> None:
        """Add a line to the legend, unless one of this name is there already.

        Args:
            name: the words of the line.
            handle: what is drawn beside them; of a tuple, all side by side.
        """
        self._entries.setdefault(name, handle)

    def finish(self, notes: Sequence[str] = ()) -> Figure:
        """Add title, legend and notes, and enlarge the figure by the room that they take.

        Args:
            notes: sentences below the panels, each on lines of its own.

        Returns:
            The figure, ready to be written.
        """
        from matplotlib.legend_handler import HandlerTuple

        with styled():
            width, panels = self._size
            letters = int((width - 2 * MARGIN) / LETTER)
            above = textwrap.wrap(self._title, int(letters * BOLD))
            below = [line for note in notes for line in textwrap.wrap(note, letters)]
            columns = self._legend_columns(width)
            legend = -(-len(self._entries) // columns) * 1.1 * LINE + 0.1 if self._entries else 0.0
            top, bottom = len(above) * LINE + MARGIN, len(below) * LINE + (MARGIN if below else 0.0)
            height = top + legend + panels + bottom
            self.figure.set_size_inches(width, height)
            self._engine().set(rect=(0, bottom / height, 1, panels / height), w_pad=0.16, h_pad=0.08)
            left = MARGIN / width
            self.figure.text(left, 1 - MARGIN / height, "\n".join(above), va="top", weight="bold", gid="title")
            if self._entries:
                handles: list[Any] = list(self._entries.values())  # matplotlib's types forget its tuples of handles
                self.figure.legend(
                    handles,
                    list(self._entries),
                    loc="upper left",
                    bbox_to_anchor=(0, 1 - top / height),
                    ncols=columns,
                    handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
                    handlelength=2.6,
                    columnspacing=1.2,
                    borderaxespad=0.2,
                )
            if below:
                self.figure.text(left, MARGIN / height, "\n".join(below), va="bottom", linespacing=1.2, gid="notes")
            self._settle()
        return self.figure

    def _settle(self) -> None:
        """Lay out the panels once: the last digits of the solver differ from one call to the next.

        The layout engine takes two passes by itself, since the numbers at the axes change with the room that they get. A second
        call, or a drawing, would move panels by a few hundredths of a percent of the figure, and take half of a figure's time.
        """
        self._engine().execute(self.figure)
        self.figure.set_layout_engine(None)
        for axes in self.figure.axes:
            place = axes.get_position(original=True).bounds
            axes.set_position(tuple(round(value, DIGITS) for value in place))

    def _engine(self) -> ConstrainedLayoutEngine:
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        engine = self.figure.get_layout_engine()
        assert isinstance(engine, ConstrainedLayoutEngine)
        return engine

    def _legend_columns(self, width: float) -> int:
        longest = max(map(len, self._entries), default=0)
        return max(1, int(width / (longest * LEGEND_LETTER + 1.05)))


def panel_places(panels: int, abreast: int) -> tuple[int, int]:
    """The rows and columns that hold so many panels.

    Args:
        panels: how many there are.
        abreast: the most that stand side by side.

    Returns:
        Rows and columns, at least 1 each.
    """
    columns = max(1, min(panels, abreast))
    return max(1, -(-panels // columns)), columns
