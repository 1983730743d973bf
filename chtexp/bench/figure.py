"""Figure 2 of arXiv:2501.19107 from measured rows: link prediction over density, and over size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURE_SUFFIXES = (".pdf", ".png", ".svg")
COLOURS = {"node based": "#0072B2", "path based": "#D55E00"}  # Okabe and Ito's blue and vermilion
MARKERS = {"node based": "o", "path based": "s"}
INCHES = (11.0, 4.4)
FONT = 16  # points at full size: 8 at half
LABELS_APART = 0.09  # of the axes' height


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Two panels on one logarithmic axis of milliseconds, quartiles as bands; solid on the CPU, dashed on a GPU."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": FONT, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=INCHES, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, panel in ((left, "a"), (right, "b")):
            _draw_panel(axes, [row for row in rows if row["panel"] == panel], panel)
        for axes, panel in ((left, "a"), (right, "b")):  # the height that both share is known now
            _label_lines(axes, [row for row in rows if row["panel"] == panel], "density" if panel == "a" else "size")
        left.set_ylabel("one link prediction (ms)")
        figure.savefig(path, dpi=150)


def _draw_panel(axes: Any, rows: Sequence[dict[str, Any]], panel: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis, fixed = ("density", "size") if panel == "a" else ("size", "density")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    lines = {(row["candidate"], row["device"]) for row in rows}
    for line in sorted(lines):
        _draw_line(axes, [row for row in rows if (row["candidate"], row["device"]) == line], axis)
    places = sorted({row[axis] for row in rows})
    axes.set_xticks(places, [f"{100 * place:g}" if panel == "a" else f"{place}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    held = f"{rows[0][fixed]} x {rows[0][fixed]}" if panel == "a" else f"{100 * rows[0][fixed]:g}% density"
    axes.set_title(f"({panel}) {held}", fontsize=FONT, loc="left")
    axes.set_xlabel("density (%)" if panel == "a" else "neurons on each side")


def _draw_line(axes: Any, rows: Sequence[dict[str, Any]], axis: str) -> None:
    kind, device = rows[0]["candidate"], rows[0]["device"]
    rows = sorted(rows, key=lambda row: row[axis])
    places, medians = [row[axis] for row in rows], [row["ms"].median for row in rows]
    style = "-" if device == "cpu" else "--"
    axes.plot(places, medians, style, color=COLOURS[kind], marker=MARKERS[kind], linewidth=2.5, markersize=8)
    axes.fill_between(
        places, [row["ms"].low for row in rows], [row["ms"].high for row in rows], color=COLOURS[kind], alpha=0.25, lw=0
    )


def _label_lines(axes: Any, rows: Sequence[dict[str, Any]], axis: str) -> None:
    """Each line's name at its right end, in its colour, pushed up where it would meet the one below."""
    last = max(row[axis] for row in rows)
    ends = sorted((row for row in rows if row[axis] == last), key=lambda row: row["ms"].median)
    height = -LABELS_APART
    for row in ends:
        _, own = (axes.transData + axes.transAxes.inverted()).transform((last, row["ms"].median))
        height = max(own, height + LABELS_APART)
        name = row["candidate"] + ("" if row["device"] == "cpu" else ", GPU")
        axes.text(1.03, height, name, transform=axes.transAxes, color=COLOURS[row["candidate"]], va="center")
