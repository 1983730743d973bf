"""Training curves by method: a row of panels a quantity, a column of panels a column of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, disturbed, notes, without_records
from chtexp.report.figures.series import METRIC, Quantity, fit_scale, over_seeds, quantity, series
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import GREY, line, paper_point, said, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = (METRIC, "density", "anp", "itop", "overlap")
MARKED = 10  # markers on a line, about
LANE, APART = (
    0.045,
    0.09,
)  # of marks at the right of a panel that would touch: to the side, if closer than this in height
PAPERS = "At the right of a panel: the paper’s values, at its full training, each with the mark of its row."
AXES = {"step": "training step", "seconds": "seconds of training"}


def curves(given: FigureInput, quantities: Sequence[str] = SHOWN, against: str = "step") -> Figure:
    """Draw training curves: a line a row, the mean over seeds within a band of its standard error.

    Args:
        given: the table, and the records of its runs.
        quantities: what is drawn, a row of panels each: METRIC, or keys of `series.QUANTITIES`.
        against: the horizontal axis, a key of AXES: "step", or "seconds" of training.

    Returns:
        The figure; the paper's values stand at the right of the metric's panels.
    """
    columns = given.columns
    runs = [run.records for run in given.runs]
    found = [quantity(name, given.table.metric, runs) for name in quantities]
    abreast = len(columns) > 1
    down, across = (len(quantities), len(columns)) if abreast else panel_places(len(quantities), 2)
    sheet = Sheet(given.table.layout.title, down, across, panel=(4.6 if abreast else 5.5, 2.9))
    panels = [(wanted, column) for wanted in found for column in columns]
    papers = False
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(panels):
                axes.set_visible(False)
                continue
            wanted, column = panels[place]
            reported = _reported(given, wanted, column) if wanted is found[0] and quantities[0] == METRIC else {}
            papers |= bool(reported)
            _panel(sheet, axes, given, wanted, column, against)
            fit_scale(axes, wanted, list(reported.values()))
            _papers(sheet, axes, given, reported)
            _empty(axes, given, reported)
            if abreast:
                axes.set_title(column if place < across else "")
                axes.set_ylabel(wanted.label if place % across == 0 else "")
            else:
                axes.set_title(wanted.label)
            axes.set_xlabel(AXES[against] if place + across >= len(panels) else "")
    shown = [] if abreast else [f"Shown: {columns[0]}."]
    timed = disturbed(given) if against == "seconds" else []
    return sheet.finish(notes(given, *shown, *timed, *without_records(given), paper=PAPERS if papers else ""))


def _panel(sheet: Sheet, axes: Axes, given: FigureInput, wanted: Quantity, column: str, against: str) -> None:
    for place, row in enumerate(given.rows):
        look = line(place)
        band = over_seeds([series(run.records, wanted.of, against) for run in given.runs_of(row, column)])
        if not band.places:
            continue
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
        sheet.entry(row + given.marked(row), drawn)
    axes.grid(axis="y")


def _empty(axes: Axes, given: FigureInput, reported: Mapping[str, float]) -> None:
    """Say that a panel has no curve; the numbers of its vertical axis stay where it shows the paper's values."""
    if any(drawn.get_gid() != "paper" for drawn in axes.lines):
        return
    axes.set_xticks([])
    if not reported:
        axes.set_yticks([])
    said(axes, "not recorded" if given.has_results else NO_RESULTS)


def _reported(given: FigureInput, wanted: Quantity, column: str) -> dict[str, float]:
    """The paper's values by row, where the curves are of the metric that it reports."""
    if wanted.key != given.table.metric:
        return {}
    papers = {row: given.cell(row, column).paper for row in given.rows}
    return {row: paper for row, paper in papers.items() if paper is not None}


def _papers(sheet: Sheet, axes: Axes, given: FigureInput, reported: Mapping[str, float]) -> None:
    """The paper's values at the right of a panel, whose limits must be final, each with the mark of its row."""
    from matplotlib.lines import Line2D

    places = {row: place for place, row in enumerate(given.rows)}
    for row, aside in _lanes(axes, reported).items():
        look = line(places[row])
        paper_point(
            axes, 1.03 + LANE * aside, reported[row], color=look.color, marker=look.marker,
            markeredgewidth=1.8, transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    for row in reported:  # whether or not it has a curve
        sheet.entry(row + given.marked(row), Line2D([], [], **line(places[row]).keywords()))
    if reported:
        marks = [line(places[row]) for row in list(reported)[:3]]
        handles = [Line2D([], [], **(mark.keywords() | {"linestyle": "", "color": GREY})) for mark in marks]
        sheet.entry("the paper, at right", tuple(handles))


def _lanes(axes: Axes, values: Mapping[str, float]) -> dict[str, int]:
    """How far to the side each mark stands, so that none touches another."""
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {row: float(to_axes.transform((axes.get_xlim()[0], value))[1]) for row, value in values.items()}
    tops: list[float] = []  # of each lane
    lanes = {}
    for row in sorted(heights, key=lambda row: heights[row]):
        lane = next((lane for lane, top in enumerate(tops) if top <= heights[row] - APART), len(tops))
        tops[lane:] = [heights[row], *tops[lane + 1 :]]
        lanes[row] = lane
    return lanes
