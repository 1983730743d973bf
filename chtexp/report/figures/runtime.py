"""Figure 2 of arXiv:2501.19107 from measured rows: link prediction over density, and over size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.evidence import NO_RESULTS
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import COLOURS, MARKERS, logarithmic, said, spread_labels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Figure 2: time of one link prediction, node based against path based"
KINDS = ("node based", "path based")
PANELS = {"a": ("density", "density (%)"), "b": ("size", "neurons on each side")}
OTHER_AXIS = {"density": "size", "size": "density"}
DASHES: Mapping[str, Any] = {"cpu": "-", "cuda": (0, (5, 1.5))}
Rows = Sequence[Mapping[str, Any]]


def runtime(rows: Rows, notes: Sequence[str] = ()) -> Figure:
    """Two panels on one logarithmic axis of milliseconds, quartiles as bands; solid on the CPU, dashed on a GPU.

    rows: of `chtexp bench linkpred`: panel, size, density, device, candidate, and `ms` with median, low and high.
    """
    sheet = Sheet(TITLE, 1, 2, panel=(5.5, 4.2), sharey=True)
    panels = {panel: [row for row in rows if row["panel"] == panel] for panel in PANELS}
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


def _panel(axes: Any, rows: Rows, panel: str) -> None:
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
    for device in dict.fromkeys(row["device"] for row in rows):
        for kind in KINDS:
            _line(axes, [row for row in rows if (row["candidate"], row["device"]) == (kind, device)], axis)
    places = sorted({row[axis] for row in rows})
    axes.set_xticks(places, [f"{100 * place:g}" if axis == "density" else f"{place}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    held = rows[0][OTHER_AXIS[axis]]
    axes.set_title(f"({panel}) " + (f"{held} x {held}" if axis == "density" else f"{100 * held:g}% density"))


def _line(axes: Any, rows: Rows, axis: str) -> None:
    if not rows:
        return
    kind, device = rows[0]["candidate"], rows[0]["device"]
    rows = sorted(rows, key=lambda row: row[axis])
    places, medians = [row[axis] for row in rows], [row["ms"]["median"] for row in rows]
    place = KINDS.index(kind)
    axes.plot(
        places, medians, linestyle=DASHES[device], color=_colour(kind), marker=MARKERS[place], gid=f"{kind} {device}"
    )
    low, high = ([row["ms"][end] for row in rows] for end in ("low", "high"))
    axes.fill_between(places, low, high, color=_colour(kind), alpha=0.25, linewidth=0)


def _names(axes: Any, rows: Rows, axis: str) -> None:
    """Each line's name at its right end, in its colour."""
    last = max((row[axis] for row in rows), default=0)
    spread_labels(
        axes,
        [
            (
                row["ms"]["median"],
                row["candidate"] + ("" if row["device"] == "cpu" else ", GPU"),
                _colour(row["candidate"]),
            )
            for row in rows
            if row[axis] == last
        ],
    )


def _colour(kind: str) -> str:
    return COLOURS[1 + KINDS.index(kind)]
