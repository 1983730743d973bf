"""Two rows compared over several columns, as in the paper's Table 16: CHTs and CHTss over six sizes of LLaMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chtexp.report.expected import PaperMeans
from chtexp.report.statistics import Comparison, mean_and_error, wilcoxon

MEANS_RULE = (
    "Means over the columns in which both rows have results, each column's value being its mean over seeds; "
    "p: exact Wilcoxon signed-rank test over these columns, two-sided."
)


@dataclass(frozen=True)
class MeanOver:
    """A comparison of two rows over several columns.

    Attributes:
        name: what the columns have in common, e.g. a sparsity.
        rows: the two rows; the second is subtracted from the first.
        columns: the columns that are averaged over.
    """

    name: str
    rows: tuple[str, str]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class MeanRow:
    """The outcome of such a comparison.

    Attributes:
        name: what the columns have in common.
        rows: the two rows.
        means: our means of the two rows, in the metric's unit; None without results.
        paper: the paper's means; None where it reports none.
        paper_p: the paper's p-value.
        columns: how many columns have results of both rows.
        of: how many columns there are.
        comparison: the test over the columns that have results.
        marks: how the runs differ from the paper's.
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
    """Compare two rows over several columns.

    Args:
        wanted: the rows and the columns.
        cells: the mean over seeds of each (row, column), in the metric's unit.
        marks: how the runs of each (row, column) differ from the paper's.
        paper: what the paper reports, if it does.

    Returns:
        The comparison over the columns in which both rows have results.
    """
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
