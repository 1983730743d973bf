"""The figures of a report: those of the paper, and of tables with results what the paper does not show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from chtexp.errors import UserError
from chtexp.paper.draw import WITHOUT_RUNS, Drawn, Wanted, draw_figure, draw_finished, figure_names
from chtexp.paper.tables import Finished
from chtexp.report import Table
from chtexp.report.figures import svg_text
from chtexp.report.page import FigurePart, Typed

TITLES = {  # of those that are no table's
    "figure2": "Figure 2: time of link prediction, node based against path based",
    "figure5": "Figure 5: adjacency matrices of bipartite network models",
}
MORE = {"curves": "over training", "seconds": "against seconds of training"}


def figures(
    found: Mapping[str, Finished | UserError], typed: Typed, config_dir: Path | None, runs: Path
) -> list[FigurePart]:
    """Draw every figure that has a name, then two kinds of figures of those tables of which at least two rows have results.

    Args:
        found: each table by its name, or what is wrong with it.
        typed: what was typed to make the report.
        config_dir: the person's own folder of configuration files.
        runs: the folder of run folders, for what the runs recorded.

    Returns:
        The figures; one that cannot be drawn says why.
    """
    made = {name: table for name, table in found.items() if not isinstance(table, UserError)}
    named = figure_names(config_dir)
    parts = []
    for name in named:
        if name in WITHOUT_RUNS:
            parts.append(_part(name, TITLES[name], partial(draw_figure, name, Wanted()), f"chtexp figure {name}"))
        elif name in made:
            draw = partial(draw_finished, name, *made[name], Wanted(typed.overrides, config_dir), runs)
            parts.append(_part(name, made[name][0].layout.title, draw, typed.command("figure", name), name))
    for name, (table, cells) in made.items():
        if name in named or len({cell.row for cell in cells if cell.results}) < 2:
            continue
        shown = _measured_columns(table)
        for kind, what in MORE.items():
            draw = partial(draw_finished, name, shown, cells, Wanted(typed.overrides, config_dir, kind=kind), runs)
            chosen = f"column={','.join(shown.layout.columns)}"
            command = typed.command("figure", name, chosen, "--kind", kind)
            parts.append(_part(f"{name}-{kind}", f"{table.layout.title}: {what}", draw, command, name))
    return parts


def _measured_columns(table: Table) -> Table:
    """Remove the columns of a table that have no results."""
    measured = {row.column for row in table.rows if row.n}
    columns = tuple(column for column in table.layout.columns if column in measured)
    rows = tuple(row for row in table.rows if row.column in measured)
    return replace(table, layout=replace(table.layout, columns=columns), rows=rows)


def _part(name: str, title: str, draw: Callable[[], Drawn], command: str, table: str = "") -> FigurePart:
    """Draw a figure, or say why it cannot be drawn."""
    try:
        drawn = draw()
        return FigurePart(name, title, svg_text(drawn.figure), "", command, table, drawn.results != 0)
    except UserError as error:
        return FigurePart(name, title, "", str(error), command, table)
