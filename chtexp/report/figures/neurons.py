"""Active neurons of every layer over training: a panel a cell, a band a layer, lighter where more neurons have links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.evidence import NO_RESULTS, Evidence, notes, without_records
from chtexp.report.figures.recorded import updates
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import LIGHTNESS, empty, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND_INCHES, LOWEST, HIGHEST = 0.42, 0.8, 6.0
RULE = (
    "Share of a layer’s inputs that have links, after each topology update, of the first seed; the lowest band: outputs of the "
    "last sparse layer. ANP is their mean, weighted by their numbers."
)


def neurons(evidence: Evidence) -> Figure:
    """A panel a cell: rows of the table down, its columns across."""
    rows, columns = evidence.rows, evidence.columns
    found = {(row, column): _active(evidence, row, column) for row in rows for column in columns}
    most = max(len(layers) for layers in found.values())
    height = min(max(LOWEST, BAND_INCHES * most), HIGHEST) + 0.9
    sheet = Sheet(f"Active neurons: {evidence.table.layout.title}", len(rows), len(columns), panel=(5.5, height))
    image = None
    with styled():
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                axes = sheet.axes[down, across]
                axes.set_title(f"{row} on {column}{evidence.marked(row, [column])}")
                image = _panel(axes, found[row, column], evidence.has_results) or image
        for axes in sheet.axes[-1]:
            axes.set_xlabel("training step")
        if image is not None:
            bar = sheet.figure.colorbar(image, ax=sheet.axes, pad=0.01)
            bar.set_label("active neurons (%)")
    return sheet.finish(notes(evidence, RULE, *without_records(evidence), over_seeds=False))


def _active(evidence: Evidence, row: str, column: str) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Of each layer (and of the last one's outputs), (step, percent of active neurons), where a run recorded it."""
    found: dict[str, list[tuple[float, float]]] = {}
    for step, layers in updates(evidence.recorded(row, column), "active_inputs", "active_outputs"):
        shares = {name: layer["active_inputs"] for name, layer in layers.items()}
        for name, share in {**shares, "outputs": list(layers.values())[-1]["active_outputs"]}.items():
            found.setdefault(name, []).append((step, 100 * float(share)))
    return found


def _panel(axes: Any, layers: Mapping[str, Sequence[tuple[float, float]]], has_results: bool) -> Any:
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
