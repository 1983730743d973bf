"""The paper's own numbers (arXiv:2501.19107v4), from the files that hold them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from chtexp.report.expected import PaperMeans, PaperNumber


@cache
def paper_numbers(table: str) -> dict[tuple[str, str], PaperNumber]:
    """Look up what the paper reports in a table.

    Args:
        table: the name of the table.

    Returns:
        The numbers by (row, column); empty for a table that is not the paper's.
    """
    return {
        (row, column): PaperNumber(**number)
        for row, columns in _read("numbers.yaml").get(table, {}).items()
        for column, number in columns.items()
    }


@cache
def paper_means(table: str) -> dict[str, PaperMeans]:
    """Look up the means over columns that the paper reports in a table.

    Args:
        table: the name of the table.

    Returns:
        The means by their name; empty where the paper reports none.
    """
    return {name: PaperMeans(**numbers) for name, numbers in _read("means.yaml").get(table, {}).items()}


@cache
def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files("chtexp.paper").joinpath(name).read_text())
    return content
