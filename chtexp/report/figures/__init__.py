"""Figures from results alone, in one style (`style`): matplotlib is loaded where one is drawn, torch never.

For a page: `svg_text(figure)`, any figure as an <svg> element.
KINDS: what can be drawn of any grid, each from its `Evidence`.
"""

from collections.abc import Callable
from typing import Any

from chtexp.report.figures.adjacency import adjacency
from chtexp.report.figures.bars import bars
from chtexp.report.figures.contests import win_rates
from chtexp.report.figures.curves import curves
from chtexp.report.figures.degrees import degrees
from chtexp.report.figures.evidence import Evidence, TrainedRun
from chtexp.report.figures.heat_map import heat_map
from chtexp.report.figures.neurons import neurons
from chtexp.report.figures.recorded import checked
from chtexp.report.figures.runtime import runtime
from chtexp.report.figures.style import FIGURE_SUFFIXES, check_suffix, svg_text, write
from chtexp.report.figures.trade_off import flops, seconds

KINDS: dict[str, Callable[..., Any]] = {
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
    "Evidence",
    "TrainedRun",
    "adjacency",
    "check_suffix",
    "checked",
    "runtime",
    "svg_text",
    "write",
]
