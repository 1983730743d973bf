"""What a paper reports, to be compared with what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperNumber:
    """A number that the paper reports.

    Attributes:
        mean: in the table's unit.
        standard_error: in the table's unit; None where it is not reported.
        anp: percent of active neurons (ANP); None where it is not reported.
    """

    mean: float
    standard_error: float | None = None
    anp: float | None = None


@dataclass(frozen=True)
class PaperMeans:
    """Means over several columns that the paper reports.

    Attributes:
        means: the mean of each row, in the table's unit.
        p: the p-value of the Wilcoxon signed-rank test between the rows.
    """

    means: Mapping[str, float]
    p: float
