"""The metric against what a training costs: FLOPs, or seconds; a panel a column, a point a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.evidence import NO_RESULTS, Evidence, metric_label, notes
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import empty, line, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_ABREAST = 2
FLOPS = "FLOPs of the training, of linear layers, counting links alone"
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
            axes.set_xscale("log")
            axes.grid()
            for number, row in enumerate(evidence.rows):
                _point(sheet, axes, evidence, row, column, number, key)
                theirs |= papers and _paper(sheet, axes, evidence, row, column, number)
            if not axes.has_data():
                empty(axes, NO_RESULTS)
            axes.set_xlabel(label.partition(",")[0] if place + across >= len(columns) else "")
            axes.set_ylabel(metric_label(evidence.table) if place % across == 0 else "")
    more = [f"Across: {label}."]
    if theirs:
        more.append("Pale: the paper’s value, at the FLOPs of its training by the cost model of chtexp plan.")
    return sheet.finish(notes(evidence, *more, paper=False))


def _point(
    sheet: Sheet, axes: Any, evidence: Evidence, row: str, column: str, number: int, key: Callable[[Any], float]
) -> None:
    cell, runs = evidence.cell(row, column), evidence.runs_of(row, column)
    if cell.mean is None or not runs:
        return
    look = line(number)
    drawn = axes.errorbar(
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
    sheet.entry(row + evidence.marked(row), drawn.lines[0])


def _paper(sheet: Sheet, axes: Any, evidence: Evidence, row: str, column: str, number: int) -> bool:
    paper, taken = evidence.cell(row, column).paper, evidence.paper_flops.get((row, column))
    if paper is None or taken is None:
        return False
    look = line(number)
    (drawn,) = axes.plot(
        taken, paper, look.marker, color=look.color, alpha=0.4, markersize=11, markeredgewidth=0, gid="paper"
    )
    sheet.entry(f"{row}, the paper", drawn)
    return True


flops = partial(_trade_off, label=FLOPS, key=lambda result: float(result["flops"]["sparse"]), papers=True)
seconds = partial(_trade_off, label=SECONDS, key=lambda result: float(result["seconds"]), papers=False)
