"""Figures from results alone, in one style (`style`): matplotlib is loaded where one is drawn, torch never.

For a page: `run_curves_svg(records, metric)` is one run's curves, `svg_text(figure)` any figure as an <svg> element.
"""

from chtexp.report.figures.run_curves import run_curves, run_curves_svg
from chtexp.report.figures.style import FIGURE_SUFFIXES, check_suffix, svg_text, write

__all__ = ["FIGURE_SUFFIXES", "check_suffix", "run_curves", "run_curves_svg", "svg_text", "write"]
