"""Degrees of the neurons of every layer: a panel a cell, after the first topology update beside after the last one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, notes, without_records
from chtexp.report.figures.recorded import Quantiles, quantiles, updates
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import COLOURS, empty, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Layers = Mapping[str, Mapping[str, Quantiles]]  # by layer, then by side and moment

# By side and moment: where among a layer's boxes, colour, and the mark of the median, filled after the last update.
SERIES = {
    ("input", "first"): (-0.3, COLOURS[1], "o"),
    ("input", "last"): (-0.1, COLOURS[1], "o"),
    ("output", "first"): (0.1, COLOURS[2], "s"),
    ("output", "last"): (0.3, COLOURS[2], "s"),
}
NAMED = 8  # layers in a panel, of more there is no room for names
RULE = (
    "Of each layer, of the first seed: thin lines from the lowest to the highest degree, thick ones between the quartiles, a "
    "mark at the median; no links is 0. A degree counts the links of a neuron in this layer."
)


def degrees(given: FigureInput) -> Figure:
    """Draw the degrees of neurons after the first and the last topology update, a panel a cell.

    Args:
        given: the table, and the records of its runs; the first seed that has records is drawn.

    Returns:
        The figure: rows of the table down, its columns across; degrees in links.
    """
    rows, columns = given.rows, given.columns
    sheet = Sheet(f"Degrees of neurons: {given.table.layout.title}", len(rows), len(columns), panel=(5.5, 3.2))
    with styled():
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                axes = sheet.axes[down, across]
                axes.set_title(f"{row} on {column}{given.marked(row, [column])}")
                layers = _layers(given, row, column)
                if layers:
                    _panel(sheet, axes, layers)
                    axes.set_ylabel("degree" if across == 0 else "")
                else:
                    empty(axes, "not recorded" if given.has_results else NO_RESULTS)
    return sheet.finish(notes(given, RULE, *without_records(given), over_seeds=False))


def _layers(given: FigureInput, row: str, column: str) -> Layers:
    every = updates(given.recorded(row, column), "input_degrees", "output_degrees")
    moments = {"first": every[0].layers, "last": every[-1].layers} if every else {}
    found: dict[str, dict[str, Quantiles]] = {}
    for side, moment in SERIES:
        for name, layer in moments.get(moment, {}).items():
            found.setdefault(name, {})[f"{side} {moment}"] = quantiles(layer, f"{side}_degrees")
    return found


def _panel(sheet: Sheet, axes: Axes, layers: Layers) -> None:
    for (side, moment), (beside, colour, marker) in SERIES.items():
        boxes = [(place + beside, layer[f"{side} {moment}"]) for place, layer in enumerate(layers.values())]
        places = [place for place, _ in boxes]
        lowest, lower, median, upper, highest = zip(*(box for _, box in boxes), strict=True)
        axes.vlines(places, lowest, highest, color=colour, linewidth=1)
        axes.vlines(places, lower, upper, color=colour, linewidth=4, alpha=1.0 if moment == "last" else 0.5)
        (drawn,) = axes.plot(
            places,
            median,
            linestyle="",
            marker=marker,
            markersize=8 if len(layers) <= NAMED else 3,
            color=colour,
            markerfacecolor=colour if moment == "last" else "white",
            markeredgewidth=1.8,
            gid=f"{side} {moment}",
        )
        sheet.entry(f"{side}s, after the {moment} update", drawn)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=-0.2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y")
    if len(layers) <= NAMED:
        axes.set_xticks(range(len(layers)), list(layers))
    else:
        axes.set_xlabel("layers, in the order of the network")
        axes.set_xticks([])
