"""Figures from results alone, in one style (`style`): matplotlib is loaded where one is drawn, torch never.

For a page: `svg_text(figure)`, any figure as an <svg> element.
KINDS: what can be drawn of any grid, each from its `FigureInput`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chtexp.report.figures.adjacency import adjacency
from chtexp.report.figures.bars import bars
from chtexp.report.figures.contests import win_rates
from chtexp.report.figures.curves import curves
from chtexp.report.figures.degrees import degrees
from chtexp.report.figures.figure_input import FigureInput, TrainedRun
from chtexp.report.figures.heat_map import heat_map
from chtexp.report.figures.neurons import neurons
from chtexp.report.figures.recorded import checked
from chtexp.report.figures.runtime import runtime
from chtexp.report.figures.style import FIGURE_SUFFIXES, check_suffix, svg_text, write
from chtexp.report.figures.trade_off import flops, seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: dict[str, Callable[..., Figure]] = {
    "bars": bars,
    "curves": curves,
    "heat_map": heat_map,
    "win_rates": win_rates,
    "flops": flops,
    "seconds": seconds,
    "neurons": neurons,
    "degrees": degrees,
}

__all__ = [
    "FIGURE_SUFFIXES",
    "KINDS",
    "FigureInput",
    "TrainedRun",
    "adjacency",
    "check_suffix",
    "checked",
    "runtime",
    "svg_text",
    "write",
]
