"""Tables from results: reads what runs left behind, never trains."""

from chtexp.report.formats import FORMATS, render
from chtexp.report.paper_numbers import paper_numbers
from chtexp.report.table import CellResults, Layout, Row, Table, build_table

__all__ = ["FORMATS", "CellResults", "Layout", "Row", "Table", "build_table", "paper_numbers", "render"]
