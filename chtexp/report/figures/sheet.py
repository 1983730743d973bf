"""A figure's page: a title, a legend outside the data, panels in rows and columns, and what must be said below them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.style import FONT, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 1.35 * FONT / 72  # inches from one line of text to the next
LETTER = 0.56 * FONT / 72  # inches that a letter takes on average
LEGEND_LETTER = 0.115
BOLD = 0.85  # as many bold letters take that room
NARROWEST = 11.0  # inches, so that title and notes find room
MARGIN = 0.12
DIGITS = 5  # of a place, as a share of the figure


class Sheet:
    """Make one, draw into `axes` (rows x columns), `entry` what the legend shows, and `finish` it."""

    def __init__(
        self, title: str, rows: int, columns: int, *, panel: tuple[float, float] = (5.4, 3.3), **subplots: Any
    ) -> None:
        """title: wrapped to the width. panel: inches of one. subplots: as `Figure.subplots` takes them."""
        from matplotlib.figure import Figure

        with styled():
            self._size = (max(NARROWEST, columns * panel[0]), rows * panel[1])
            self.figure: Figure = Figure(figsize=self._size, layout="constrained")
            self.axes: Any = self.figure.subplots(rows, columns, squeeze=False, **subplots)
        self._title = title
        self._entries: dict[str, Any] = {}

    def entry(self, name: str, handle: Any) -> None:
        """A line of the legend; a name that is there already stays as it is. handle: or several, side by side."""
        self._entries.setdefault(name, handle)

    def finish(self, notes: Sequence[str] = ()) -> Figure:
        """The figure, grown by what stands above and below its panels. notes: sentences, each on lines of its own."""
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
            engine: Any = self.figure.get_layout_engine()
            engine.set(rect=(0, bottom / height, 1, panels / height), w_pad=0.16, h_pad=0.08)
            left = MARGIN / width
            self.figure.text(left, 1 - MARGIN / height, "\n".join(above), va="top", weight="bold", gid="title")
            if self._entries:
                self.figure.legend(
                    list(self._entries.values()),
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
        """Lay the panels out, now and once: the solver's last digits differ from one time to the next."""
        for _ in range(2):  # numbers at the axes change with the room that they leave
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        for axes in self.figure.axes:
            place = axes.get_position(original=True).bounds
            axes.set_position(tuple(round(value, DIGITS) for value in place))

    def _legend_columns(self, width: float) -> int:
        longest = max(map(len, self._entries), default=0)
        return max(1, int(width / (longest * LEGEND_LETTER + 1.05)))


def panel_places(panels: int, abreast: int) -> tuple[int, int]:
    """Rows and columns of so many panels, at most `abreast` side by side."""
    columns = max(1, min(panels, abreast))
    return max(1, -(-panels // columns)), columns
