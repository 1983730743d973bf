"""A heat map: rows down, columns across, every number written into its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, has_paper, metric_label, notes
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import FAINT, GREY, LIGHTNESS, styled
from chtexp.report.number_format import MARK, rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRACKETS = "In brackets: the paper’s value, at its full training."


def heat_map(given: FigureInput, across: str = "", down: str = "") -> Figure:
    """Draw the means of a table as a heat map: rows down, columns across, the paper's values in brackets below ours.

    Args:
        given: the table.
        across: the label of the columns.
        down: the label of the rows.

    Returns:
        The figure.
    """
    import numpy as np

    rows, columns = given.rows, given.columns
    cells = [[given.cell(row, column) for column in columns] for row in rows]
    values = np.array([[np.nan if cell.mean is None else cell.mean for cell in line] for line in cells], dtype=float)
    two_lines, digits = has_paper(given), given.table.layout.digits
    size = (max(8.0, 1.5 * len(columns) + 3.5), (0.95 if two_lines else 0.75) * len(rows) + 1.3)
    sheet = Sheet(given.table.layout.title, 1, 1, panel=size)
    axes = sheet.axes[0, 0]
    with styled():
        image = axes.imshow(np.ma.masked_invalid(values), cmap=LIGHTNESS, aspect="auto", interpolation="none")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        axes.set_facecolor(FAINT)  # of empty places
        axes.set_xticks([place - 0.5 for place in range(len(columns) + 1)], minor=True)
        axes.set_yticks([place - 0.5 for place in range(len(rows) + 1)], minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for height, line in enumerate(cells):
            for place, cell in enumerate(line):
                text = rounded(cell.mean, digits) + (MARK if cell.marks and cell.mean is not None else "")
                text += f"\n({rounded(cell.paper, digits)})" if cell.paper is not None else ""
                dark = cell.mean is not None and image.norm(cell.mean) < 0.5
                ink = "white" if dark else "black"
                axes.text(place, height, text, ha="center", va="center", color=ink, gid=f"{cell.row} {cell.column}")
        if given.has_results:
            bar = sheet.figure.colorbar(image, ax=axes, pad=0.02)
            bar.set_label(metric_label(given.table))
            bar.outline.set_visible(False)
        else:
            axes.set_title(NO_RESULTS, color=GREY)
    return sheet.finish(notes(given, paper=BRACKETS if two_lines else ""))
