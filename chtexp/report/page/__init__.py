"""The report as one HTML file: a summary, every table and figure, every run. Reads results; trains and composes nothing."""

from chtexp.report.page.content import FigurePart, Page, TablePart, Typed
from chtexp.report.page.render import render_page
from chtexp.report.page.runs import RunPart, collected_run, run_of_folder
from chtexp.report.page.summary_text import summary_markdown

__all__ = [
    "FigurePart",
    "Page",
    "RunPart",
    "TablePart",
    "Typed",
    "collected_run",
    "render_page",
    "run_of_folder",
    "summary_markdown",
]
