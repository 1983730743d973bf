"""One run's curves, as they stand on its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.series import METRIC, Record, fit_scale, quantity, series
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import COLOURS, MARKERS, Line, empty, styled, svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (METRIC, "train_loss", "density", "anp", "itop", "overlap")
MARKED = 12  # markers on a line, about
LOOK = Line(COLOURS[1], MARKERS[0], "-")  # one line a panel: there is nothing to tell apart


def run_curves(records: Sequence[Record], metric: str, title: str = "") -> Figure:
    """Metric, loss, density, ANP, ITOP and overlap over the training steps; what was not recorded is left out.

    records: the lines of `metrics.jsonl`. metric: what the run reports, e.g. accuracy.
    """
    found = {name: quantity(name, metric, [records]) for name in SHOWN}
    curves = {name: points for name, wanted in found.items() if (points := series(records, wanted.of))}
    columns = 2
    rows = max(1, -(-len(curves) // columns))
    sheet = Sheet(title, rows, columns, panel=(5.5, 2.9), sharex=True)
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(curves):
                axes.set_visible(False)
                continue
            name = list(curves)[place]
            _draw(axes, curves[name], found[name].label)
            fit_scale(axes, found[name])
        for axes in sheet.axes[-1]:
            axes.set_xlabel("step")
        if len(curves) % columns:  # the panel above the empty place
            last = sheet.axes[-2, -1] if rows > 1 else sheet.axes[0, 0]
            last.set_xlabel("step")
            last.xaxis.set_tick_params(labelbottom=True)
        if not curves:
            sheet.axes[0, 0].set_visible(True)
            empty(sheet.axes[0, 0], "nothing recorded yet")
    return sheet.finish()


def run_curves_svg(records: Sequence[Record], metric: str, title: str = "") -> str:
    """`run_curves` as an <svg> element."""
    return svg_text(run_curves(records, metric, title))


def _draw(axes: Any, points: Sequence[tuple[float, float]], label: str) -> None:
    axes.plot(
        [step for step, _ in points],
        [value for _, value in points],
        markevery=max(1, len(points) // MARKED),
        gid=label,
        **LOOK.keywords(),
    )
    axes.set_title(label)
    axes.grid(axis="y")
