"""Training curves by method: a row of panels a quantity, a column of panels a column of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chtexp.report.figures.evidence import DIAMOND, NO_RESULTS, Evidence, notes, without_records
from chtexp.report.figures.series import METRIC, Quantity, fit_scale, over_seeds, quantity, series
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import empty, line, paper_point, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (METRIC, "density", "anp", "itop", "overlap")
MARKED = 10  # markers on a line, about
AXES = {"step": "training step", "seconds": "seconds of training"}


def curves(evidence: Evidence, quantities: Sequence[str] = SHOWN, against: str = "step") -> Figure:
    """A line a row: the mean over seeds, and a band of its standard error. against: a key of AXES."""
    columns = evidence.columns
    runs = [run.records for run in evidence.runs]
    found = [quantity(name, evidence.table.metric, runs) for name in quantities]
    abreast = len(columns) > 1
    down, across = (len(quantities), len(columns)) if abreast else panel_places(len(quantities), 2)
    sheet = Sheet(evidence.table.layout.title, down, across, panel=(4.6 if abreast else 5.5, 2.9))
    panels = [(wanted, column) for wanted in found for column in columns]
    papers = False
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(panels):
                axes.set_visible(False)
                continue
            wanted, column = panels[place]
            _panel(sheet, axes, evidence, wanted, column, against)
            fit_scale(axes, wanted)
            papers |= wanted is found[0] and quantities[0] == METRIC and _papers(sheet, axes, evidence, wanted, column)
            if abreast:
                axes.set_title(column if place < across else "")
                axes.set_ylabel(wanted.label if place % across == 0 else "")
            else:
                axes.set_title(wanted.label)
            axes.set_xlabel(AXES[against] if place + across >= len(panels) else "")
    shown = [] if abreast else [f"Shown: {columns[0]}."]
    return sheet.finish(notes(evidence, *shown, *without_records(evidence), paper=DIAMOND if papers else ""))


def _panel(sheet: Sheet, axes: Any, evidence: Evidence, wanted: Quantity, column: str, against: str) -> None:
    drawn_any = False
    for place, row in enumerate(evidence.rows):
        look = line(place)
        band = over_seeds([series(run.records, wanted.of, against) for run in evidence.runs_of(row, column)])
        if not band.places:
            continue
        drawn_any = True
        (drawn,) = axes.plot(
            band.places,
            band.means,
            markevery=(place % 3, max(1, len(band.places) // MARKED)) if len(band.places) > MARKED else None,
            gid=f"{row} {column} {wanted.label}",
            **look.keywords(),
        )
        low = [mean - error for mean, error in zip(band.means, band.errors, strict=True)]
        high = [mean + error for mean, error in zip(band.means, band.errors, strict=True)]
        axes.fill_between(band.places, low, high, color=look.color, alpha=0.15, linewidth=0)
        sheet.entry(row + evidence.marked(row), drawn)
    axes.grid(axis="y")
    if not drawn_any:
        empty(axes, NO_RESULTS if not evidence.has_results else "not recorded")


def _papers(sheet: Sheet, axes: Any, evidence: Evidence, wanted: Quantity, column: str) -> bool:
    """The paper's final values at the right edge, where the curves are of the metric that it reports."""
    if wanted.key != evidence.table.metric:
        return False
    drawn = False
    for place, row in enumerate(evidence.rows):
        paper = evidence.cell(row, column).paper
        if paper is not None:
            point = paper_point(axes, 1.0, paper, color=line(place).color, transform=axes.get_yaxis_transform())
            sheet.entry("the paper", point)
            drawn = True
    return drawn
