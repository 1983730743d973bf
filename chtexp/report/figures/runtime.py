"""Figure 2 of arXiv:2501.19107 from measured rows: link prediction over density, and over size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from chtexp.report.figures.figure_input import NO_RESULTS
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import COLOURS, MARKERS, logarithmic, said, spread_labels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

TITLE = "Figure 2: time of one link prediction, node based against path based"
KINDS = ("node based", "path based")
Axis = Literal["density", "size"]
PANELS: Mapping[str, tuple[Axis, str]] = {"a": ("density", "density (%)"), "b": ("size", "neurons on each side")}
OTHER_AXIS: Mapping[Axis, Axis] = {"density": "size", "size": "density"}
DASHES: Mapping[str, LineStyleType] = {"cpu": "-", "cuda": (0, (5, 1.5))}


@dataclass(frozen=True)
class Quartiles:
    """The median and the quartiles of a time, in milliseconds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """One measured row of `chtexp bench linkpred`.

    Attributes:
        panel: a key of PANELS.
        size: neurons on each side of the mask.
        density: the density of the mask, in [0, 1].
        device: "cpu" or "cuda".
        candidate: one of KINDS.
        ms: the time of one link prediction.
    """

    panel: str
    size: int
    density: float
    device: str
    candidate: str
    ms: Quartiles

    def at(self, axis: Axis) -> float:
        """The row's place on a horizontal axis."""
        return self.density if axis == "density" else self.size


Rows = Sequence[Timing]


def runtime(rows: Sequence[Mapping[str, object]], notes: Sequence[str] = ()) -> Figure:
    """Draw the times of link prediction over density and over size, as in Figure 2 of arXiv:2501.19107.

    Args:
        rows: the rows of `chtexp bench linkpred`, with the fields of `Timing`; further fields are ignored.
        notes: sentences below the figure.

    Returns:
        Two panels on one logarithmic axis of milliseconds, quartiles as bands; solid on the CPU, dashed on a GPU.

    Raises:
        ValueError: a row lacks a field.
    """
    timings = TypeAdapter(list[Timing]).validate_python(rows)
    sheet = Sheet(TITLE, 1, 2, panel=(5.5, 4.2), sharey=True)
    panels = {panel: [row for row in timings if row.panel == panel] for panel in PANELS}
    with styled():
        for axes, panel in zip(sheet.axes[0], PANELS, strict=True):
            _panel(axes, panels[panel], panel)
        for axes, panel in zip(sheet.axes[0], PANELS, strict=True):  # the height that both share is known now
            _names(axes, panels[panel], PANELS[panel][0])
        sheet.axes[0, 0].set_ylabel("one link prediction (ms)")
        if not rows:
            sheet.axes[0, 0].set_yticks([])
            sheet.axes[0, 0].set_yticks([], minor=True)
    return sheet.finish(notes if rows else [f"{NO_RESULTS}.", *notes])


def _panel(axes: Axes, rows: Rows, panel: str) -> None:
    from matplotlib.ticker import NullLocator

    axis, label = PANELS[panel]
    axes.set_xlabel(label)
    logarithmic(axes, "y")
    axes.set_title(f"({panel})")
    if not rows:
        axes.set_xticks([])
        said(axes, NO_RESULTS)
        return
    axes.set_xscale("log", base=2)
    for device in dict.fromkeys(row.device for row in rows):
        for kind in KINDS:
            _line(axes, [row for row in rows if (row.candidate, row.device) == (kind, device)], axis)
    places = sorted({row.at(axis) for row in rows})
    axes.set_xticks(places, [f"{100 * place:g}" if axis == "density" else f"{place}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    held = rows[0].at(OTHER_AXIS[axis])
    axes.set_title(f"({panel}) " + (f"{held} x {held}" if axis == "density" else f"{100 * held:g}% density"))


def _line(axes: Axes, rows: Rows, axis: Axis) -> None:
    if not rows:
        return
    kind, device = rows[0].candidate, rows[0].device
    rows = sorted(rows, key=lambda row: row.at(axis))
    places, medians = [row.at(axis) for row in rows], [row.ms.median for row in rows]
    place = KINDS.index(kind)
    axes.plot(
        places, medians, linestyle=DASHES[device], color=_colour(kind), marker=MARKERS[place], gid=f"{kind} {device}"
    )
    low, high = [row.ms.low for row in rows], [row.ms.high for row in rows]
    axes.fill_between(places, low, high, color=_colour(kind), alpha=0.25, linewidth=0)


def _names(axes: Axes, rows: Rows, axis: Axis) -> None:
    """Write the name of each line at its right end, in its colour."""
    last = max((row.at(axis) for row in rows), default=0)
    spread_labels(
        axes,
        [
            (
                row.ms.median,
                row.candidate + ("" if row.device == "cpu" else ", GPU"),
                _colour(row.candidate),
            )
            for row in rows
            if row.at(axis) == last
        ],
    )


def _colour(kind: str) -> str:
    return COLOURS[1 + KINDS.index(kind)]
