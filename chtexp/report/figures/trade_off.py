"""The metric against what a training costs: FLOPs, or seconds; a panel a column, a point a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.evidence import NO_RESULTS, Evidence, disturbed, metric_label, notes
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import empty, line, logarithmic, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_ABREAST = 2
FLOPS = "FLOPs of the training, of linear layers, counting links alone"
PALE = "Pale: the paper’s value, at the FLOPs of its full training by the cost model of chtexp plan."
SECONDS = "seconds of training, of one run on the hardware that trained it"


def _trade_off(evidence: Evidence, label: str, key: Callable[[Any], float], *, papers: bool) -> Figure:
    columns = evidence.columns
    down, across = panel_places(len(columns), PANELS_ABREAST)
    sheet = Sheet(evidence.table.layout.title, down, across, panel=(5.5, 3.9))
    theirs = False
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(columns):
                axes.set_visible(False)
                continue
            column = columns[place]
            axes.set_title(column)
            axes.grid()
            for number, row in enumerate(evidence.rows):
                _point(sheet, axes, evidence, row, column, number, key)
                theirs |= papers and _paper(sheet, axes, evidence, row, column, number)
            logarithmic(axes, "x")
            if not axes.has_data():
                empty(axes, NO_RESULTS)
            axes.set_xlabel(label.partition(",")[0] if place + across >= len(columns) else "")
            axes.set_ylabel(metric_label(evidence.table) if place % across == 0 else "")
    timed = disturbed(evidence) if label == SECONDS else []
    return sheet.finish(notes(evidence, f"Across: {label}.", *timed, paper=PALE if theirs else ""))


def _point(
    sheet: Sheet, axes: Any, evidence: Evidence, row: str, column: str, number: int, key: Callable[[Any], float]
) -> None:
    cell, runs = evidence.cell(row, column), evidence.runs_of(row, column)
    if cell.mean is None or not runs:
        return
    look = line(number)
    axes.errorbar(
        fmean(key(run.result) for run in runs),
        cell.mean,
        yerr=cell.standard_error,
        fmt=look.marker,
        color=look.color,
        markersize=11,
        markerfacecolor="none",  # what lies below is seen
        markeredgewidth=2.2,
        capsize=4,
        gid=f"{row} {column}",
    )
    _entry(sheet, evidence, row, number)


def _paper(sheet: Sheet, axes: Any, evidence: Evidence, row: str, column: str, number: int) -> bool:
    paper, taken = evidence.cell(row, column).paper, evidence.paper_flops.get((row, column))
    if paper is None or taken is None:
        return False
    look = line(number)
    axes.plot(taken, paper, look.marker, color=look.color, alpha=0.5, markersize=11, markeredgewidth=0, gid="paper")
    _entry(sheet, evidence, row, number)
    return True


def _entry(sheet: Sheet, evidence: Evidence, row: str, number: int) -> None:
    """The row in the legend, once, whether the paper's point or ours is drawn."""
    from matplotlib.lines import Line2D

    look = line(number)
    shown = Line2D(
        [],
        [],
        color=look.color,
        marker=look.marker,
        linestyle="",
        markersize=11,
        markerfacecolor="none",
        markeredgewidth=2.2,
    )
    sheet.entry(row + evidence.marked(row), shown)


flops = partial(_trade_off, label=FLOPS, key=lambda result: float(result["flops"]["sparse"]), papers=True)
seconds = partial(_trade_off, label=SECONDS, key=lambda result: float(result["seconds"]), papers=False)
