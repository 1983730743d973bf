"""The paper's own numbers (arXiv:2501.19107v4), from the one file that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True)
class PaperNumber:
    """mean and standard_error in the table's unit; anp in percent. None: not reported."""

    mean: float
    standard_error: float | None = None
    anp: float | None = None


@cache
def paper_numbers(table: str) -> dict[tuple[str, str], PaperNumber]:
    """What the paper reports in `table` by (row, column); empty for a table that is not the paper's."""
    every = yaml.safe_load(files("chtexp.report").joinpath("paper.yaml").read_text())
    return {
        (row, column): PaperNumber(**number)
        for row, columns in every.get(table, {}).items()
        for column, number in columns.items()
    }
