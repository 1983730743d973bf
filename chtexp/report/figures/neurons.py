"""Active neurons of every layer over training: a panel a cell, a band a layer, lighter where more neurons have links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, notes, without_records
from chtexp.report.figures.recorded import share, updates
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import LIGHTNESS, empty, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

BAND_INCHES, LOWEST, HIGHEST = 0.42, 0.8, 6.0
RULE = (
    "Share of a layer’s inputs that have links, after each topology update, of the first seed; the lowest band: outputs of the "
    "last sparse layer. ANP is their mean, weighted by their numbers."
)


def neurons(given: FigureInput) -> Figure:
    """Draw the active neurons of every layer over training: a panel a cell, a band a layer.

    Args:
        given: the table, and the records of its runs; the first seed that has records is drawn.

    Returns:
        The figure: rows of the table down, its columns across; shares in percent.
    """
    rows, columns = given.rows, given.columns
    found = {(row, column): _active(given, row, column) for row in rows for column in columns}
    most = max(len(layers) for layers in found.values())
    height = min(max(LOWEST, BAND_INCHES * most), HIGHEST) + 0.9
    sheet = Sheet(f"Active neurons: {given.table.layout.title}", len(rows), len(columns), panel=(5.5, height))
    image = None
    with styled():
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                axes = sheet.axes[down, across]
                axes.set_title(f"{row} on {column}{given.marked(row, [column])}")
                image = _panel(axes, found[row, column], given.has_results) or image
        for axes in sheet.axes[-1]:
            axes.set_xlabel("training step")
        if image is not None:
            bar = sheet.figure.colorbar(image, ax=sheet.axes, pad=0.01)
            bar.set_label("active neurons (%)")
    return sheet.finish(notes(given, RULE, *without_records(given), over_seeds=False))


def _active(given: FigureInput, row: str, column: str) -> Mapping[str, Sequence[tuple[float, float]]]:
    """The active neurons of each layer, and of the last layer's outputs, as (step, percent)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for step, layers in updates(given.recorded(row, column), "active_inputs", "active_outputs"):
        active = {name: share(layer, "active_inputs") for name, layer in layers.items()}
        active["outputs"] = share(list(layers.values())[-1], "active_outputs")
        for name, part in active.items():
            found.setdefault(name, []).append((step, 100 * part))
    return found


def _panel(axes: Axes, layers: Mapping[str, Sequence[tuple[float, float]]], has_results: bool) -> QuadMesh | None:
    axes.set_yticks([])
    if not layers:
        empty(axes, "not recorded" if has_results else NO_RESULTS)
        return None
    steps = [step for step, _ in next(iter(layers.values()))]
    edges = [0.0, *steps]  # what an update left behind holds since the one before
    values = [[value for _, value in points] for points in layers.values()]
    image = axes.pcolormesh(edges, range(len(layers) + 1), values, cmap=LIGHTNESS, vmin=0, vmax=100)
    axes.set_ylim(len(layers), 0)
    if len(layers) <= 8:  # of more there is no room for names: they stand in the order of the network
        axes.set_yticks([place + 0.5 for place in range(len(layers))], list(layers))
    axes.tick_params(axis="y", length=0)
    return image
