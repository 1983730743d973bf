"""Bars with error bars: a panel a column, a bar a row, the paper's value as a diamond, the numbers beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import DIAMOND, NO_RESULTS, FigureInput, has_paper, metric_label, notes
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import COLOURS, GREY, HATCHES, paper_point, said, styled
from chtexp.report.number_format import GAP, MARK, with_error
from chtexp.report.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_ABREAST = 2
ROW_INCHES = 0.36


def bars(given: FigureInput) -> Figure:
    """Draw the cells of a table as bars: a panel a column, a bar a row.

    Args:
        given: the table, in the metric's unit.

    Returns:
        The figure. The axis of a panel starts at 0; a note says so where it does not.
    """
    rows, columns = given.rows, given.columns
    down, across = panel_places(len(columns), PANELS_ABREAST)
    sheet = Sheet(given.table.layout.title, down, across, panel=(5.5, ROW_INCHES * len(rows) + 1.2), sharey=True)
    cut = False
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(columns):
                axes.set_visible(False)
                continue
            cut |= _panel(sheet, axes, given, columns[place])
            axes.set_xlabel(metric_label(given.table) if place + across >= len(columns) else "")
        for axes in sheet.axes[:, 0]:
            axes.set_yticks(range(len(rows)), rows)
            axes.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
    more = ["The bars are cut off on the left: their axes do not start at 0."] if cut else []
    return sheet.finish(notes(given, *more, paper=DIAMOND if has_paper(given) else ""))


def _panel(sheet: Sheet, axes: Axes, given: FigureInput, column: str) -> bool:
    """Draw one panel; return whether its axis starts above 0."""
    cells = [given.cell(row, column) for row in given.rows]
    groups = list(given.table.layout.groups)
    axes.set_title(column)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    start, end = _range(cells)
    axes.set_xlim(start, end)
    if all(cell.mean is None and cell.paper is None for cell in cells):
        axes.set_xticks([])
        said(axes, NO_RESULTS)
    for height, cell in enumerate(cells):
        group = groups.index(cell.group)
        if cell.mean is not None:
            (bar,) = axes.barh(
                height,
                cell.mean,
                0.62,
                color=_fill(group),
                edgecolor=_edge(group),
                hatch=HATCHES[group % len(HATCHES)],
                linewidth=1.2,
            )
            bar.set_gid(f"{cell.row} {column}")
            sheet.entry(cell.group, bar)
            if cell.standard_error is not None:
                axes.errorbar(cell.mean, height, xerr=cell.standard_error, color="black", capsize=4, linewidth=1.8)
        if cell.paper is not None:
            sheet.entry("the paper", paper_point(axes, cell.paper, height, xerr=cell.paper_standard_error))
        numbers = with_error(cell.mean, cell.standard_error, given.table.layout.digits) + (MARK if cell.marks else "")
        axes.text(1.02, height, numbers, transform=axes.get_yaxis_transform(), va="center", color=_ink(numbers))
    return start > 0


def _range(cells: list[Row]) -> tuple[float, float]:
    """The limits of the axis: from 0, or from shortly below the lowest number where the differences would be too small to see."""
    ours = [(cell.mean, cell.standard_error or 0.0) for cell in cells if cell.mean is not None]
    papers = [(cell.paper, cell.paper_standard_error or 0.0) for cell in cells if cell.paper is not None]
    if not ours and not papers:
        return 0.0, 1.0
    low = min(value - error for value, error in [*ours, *papers])
    high = max(value + error for value, error in [*ours, *papers])
    spread = (high - low) or abs(high) or 1.0
    start = low - 0.2 * spread
    return (min(0.0, low), high + 0.05 * spread) if start <= 0 or low < 0.5 * high else (start, high + 0.08 * spread)


def _fill(group: int) -> tuple[float, float, float]:
    """The pale colour inside a bar: error bars and diamonds stand out on it."""
    from matplotlib.colors import to_rgb

    red, green, blue = (0.65 + 0.35 * part for part in to_rgb(_edge(group)))
    return red, green, blue


def _edge(group: int) -> str:
    return COLOURS[group % len(COLOURS)]


def _ink(numbers: str) -> str:
    return GREY if numbers == GAP else "black"
