"""Two rows compared over several columns, as the paper's Table 16 compares CHTs and CHTss over six sizes of LLaMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chtexp.report.paper_numbers import PaperMeans
from chtexp.report.statistics import Comparison, mean_and_error, wilcoxon

MEANS_RULE = (
    "Means over the columns in which both rows have results, each column's value being its mean over seeds; "
    "p: exact Wilcoxon signed-rank test over these columns, two-sided."
)


@dataclass(frozen=True)
class MeanOver:
    """name: what the columns have in common, e.g. a sparsity. rows: the two that are compared, the first minus the second."""

    name: str
    rows: tuple[str, str]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class MeanRow:
    """means, paper: of the two rows, in the metric's unit; None without results, or of what the paper does not report.

    columns: how many of `of` columns have results of both; comparison: over these; marks: how their runs differ from the paper's.
    """

    name: str
    rows: tuple[str, str]
    means: tuple[float | None, float | None]
    paper: tuple[float | None, float | None]
    paper_p: float | None
    columns: int
    of: int
    comparison: Comparison
    marks: tuple[str, ...]


def compare_over(
    wanted: MeanOver,
    cells: Mapping[tuple[str, str], float],
    marks: Mapping[tuple[str, str], tuple[str, ...]],
    paper: PaperMeans | None,
) -> MeanRow:
    """The two rows of `wanted` over its columns. cells: a mean over seeds by (row, column); marks: likewise, of their runs."""
    first, second = wanted.rows
    both = [column for column in wanted.columns if (first, column) in cells and (second, column) in cells]
    one, other = ([cells[row, column] for column in both] for row in wanted.rows)
    differences = [mine - theirs for mine, theirs in zip(one, other, strict=True)]
    found = [mark for column in both for row in wanted.rows for mark in marks.get((row, column), ())]
    return MeanRow(
        name=wanted.name,
        rows=wanted.rows,
        means=(mean_and_error(one).mean, mean_and_error(other).mean),
        paper=(paper.means.get(first), paper.means.get(second)) if paper else (None, None),
        paper_p=paper.p if paper else None,
        columns=len(both),
        of=len(wanted.columns),
        comparison=wilcoxon(differences),
        marks=tuple(dict.fromkeys(found)),
    )
