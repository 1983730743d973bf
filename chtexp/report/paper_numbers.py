"""The paper's own numbers (arXiv:2501.19107v4), from the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True)
class PaperNumber:
    """mean and standard_error in the table's unit; anp in percent. None: not reported."""

    mean: float
    standard_error: float | None = None
    anp: float | None = None


@dataclass(frozen=True)
class PaperMeans:
    """Means over several columns by row, in the table's unit, and the p of the Wilcoxon signed-rank test between the rows."""

    means: Mapping[str, float]
    p: float


@cache
def paper_numbers(table: str) -> dict[tuple[str, str], PaperNumber]:
    """What the paper reports in `table` by (row, column); empty for a table that is not the paper's."""
    return {
        (row, column): PaperNumber(**number)
        for row, columns in _read("paper.yaml").get(table, {}).items()
        for column, number in columns.items()
    }


@cache
def paper_means(table: str) -> dict[str, PaperMeans]:
    """The means over columns that the paper reports in `table`, by their name; empty where it reports none."""
    return {name: PaperMeans(**numbers) for name, numbers in _read("paper_means.yaml").get(table, {}).items()}


@cache
def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(files("chtexp.report").joinpath(name).read_text())
    return content
