"""Tables from results: reads what runs left behind, never trains."""

from chtexp.report.claims import Claim
from chtexp.report.formats import FORMATS, render
from chtexp.report.layout import CellResults, Layout
from chtexp.report.means import MeanOver
from chtexp.report.table import Row, Table, build_table

__all__ = [
    "FORMATS",
    "CellResults",
    "Claim",
    "Layout",
    "MeanOver",
    "Row",
    "Table",
    "build_table",
    "render",
]
