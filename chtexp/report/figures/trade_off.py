"""The metric against what a training costs: FLOPs, or seconds; a panel a column, a point a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, disturbed, metric_label, notes
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import empty, line, logarithmic, styled
from chtexp.store import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_ABREAST = 2
FLOPS = "FLOPs of the training, of linear layers, counting links alone"
PALE = "Pale: the paper’s value, at the FLOPs of its full training by the cost model of chtexp plan."
SECONDS = "seconds of training, of one run on the hardware that trained it"


def _trade_off(given: FigureInput, label: str, key: Callable[[Result], float], *, papers: bool) -> Figure:
    columns = given.columns
    down, across = panel_places(len(columns), PANELS_ABREAST)
    sheet = Sheet(given.table.layout.title, down, across, panel=(5.5, 3.9))
    theirs = False
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(columns):
                axes.set_visible(False)
                continue
            column = columns[place]
            axes.set_title(column)
            axes.grid()
            for number, row in enumerate(given.rows):
                _point(sheet, axes, given, row, column, number, key)
                theirs |= papers and _paper(sheet, axes, given, row, column, number)
            logarithmic(axes, "x")
            if not axes.has_data():
                empty(axes, NO_RESULTS)
            axes.set_xlabel(label.partition(",")[0] if place + across >= len(columns) else "")
            axes.set_ylabel(metric_label(given.table) if place % across == 0 else "")
    timed = disturbed(given) if label == SECONDS else []
    return sheet.finish(notes(given, f"Across: {label}.", *timed, paper=PALE if theirs else ""))


def _point(
    sheet: Sheet, axes: Axes, given: FigureInput, row: str, column: str, number: int, key: Callable[[Result], float]
) -> None:
    cell, runs = given.cell(row, column), given.runs_of(row, column)
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
    _entry(sheet, given, row, number)


def _paper(sheet: Sheet, axes: Axes, given: FigureInput, row: str, column: str, number: int) -> bool:
    paper, taken = given.cell(row, column).paper, given.paper_flops.get((row, column))
    if paper is None or taken is None:
        return False
    look = line(number)
    axes.plot(taken, paper, look.marker, color=look.color, alpha=0.5, markersize=11, markeredgewidth=0, gid="paper")
    _entry(sheet, given, row, number)
    return True


def _entry(sheet: Sheet, given: FigureInput, row: str, number: int) -> None:
    """Add the row to the legend, once, whether the paper's point or ours is drawn."""
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
    sheet.entry(row + given.marked(row), shown)


def _flops(result: Result) -> float:
    return result.flops.sparse if result.flops else math.nan


def _seconds(result: Result) -> float:
    return result.seconds


flops = partial(_trade_off, label=FLOPS, key=_flops, papers=True)
seconds = partial(_trade_off, label=SECONDS, key=_seconds, papers=False)
