"""One table: results gathered by cell, seeds averaged, the paper's value beside each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from chtexp.errors import UserError
from chtexp.report.claims import CheckedClaim, check_claim
from chtexp.report.expected import PaperMeans, PaperNumber
from chtexp.report.layout import CellResults, Layout, is_disturbed
from chtexp.report.means import MeanRow, compare_over
from chtexp.report.number_format import LOWER_IS_BETTER
from chtexp.report.statistics import mean_and_error
from chtexp.report.verdict import Word, marks, verdict
from chtexp.store import Result


@dataclass(frozen=True)
class Row:
    """One cell of the paper's table, with all that is known of it.

    Attributes:
        column: the column of the cell.
        group: the group of its row.
        row: its row.
        n: how many seeds have a value.
        seeds: the seeds with results.
        values: the value of each seed, in the metric's unit; None where a run reports none.
        mean: the mean over seeds.
        standard_error: of the mean; None below two seeds.
        last: the mean at the last evaluation.
        paper: the paper's mean.
        paper_standard_error: the paper's standard error.
        difference: our mean minus the paper's.
        verdict: by `chtexp.report.verdict.RULE`.
        verdict_reason: why it is that, where the word does not say it.
        marks: how the runs differ from the paper's.
        anp: percent of active neurons (ANP).
        paper_anp: the paper's percent of active neurons.
        nonzeros: the mean number of non-zero parameters.
        density: the mean density, in [0, 1].
        seconds: the mean training time of a run, on this hardware.
        disturbed: whether any of these times was measured beside other work, or with pauses; None where that is not known of all.
        hardware: what the runs were made on.
        id: the identity of the runs.
        commands: the commands that made them.
        best: whether it is the best of its group.
        above: whether it is better than the reference.
    """

    column: str
    group: str
    row: str
    n: int
    seeds: tuple[int, ...]
    values: tuple[float | None, ...]
    mean: float | None
    standard_error: float | None
    last: float | None
    paper: float | None
    paper_standard_error: float | None
    difference: float | None
    verdict: Word
    verdict_reason: str | None
    marks: tuple[str, ...]
    anp: float | None
    paper_anp: float | None
    nonzeros: float | None
    density: float | None
    seconds: float | None
    disturbed: bool | None
    hardware: tuple[str, ...]
    id: str
    commands: tuple[str, ...]
    best: bool = False
    above: bool = False


@dataclass(frozen=True)
class Table:
    """Rows in reading order, and what must be said with them.

    Attributes:
        layout: the arrangement of the table.
        metric: what the numbers are.
        budget: the name of the budget of all runs.
        budget_said: its length in words; empty without results.
        higher_is_better: whether higher values of the metric are better.
        rows: one a cell.
        means: comparisons over columns.
        claims: the checked claims.
        selected_by: how the reported evaluations were selected.
        hardware: each kind that runs were made on.
        code: each commit, or version, that made runs.
        sources: where the data come from.
        notes: further sentences for the caption.
        damaged: what is wrong with results that are not shown.
    """

    layout: Layout
    metric: str
    budget: str
    budget_said: str
    higher_is_better: bool
    rows: tuple[Row, ...]
    means: tuple[MeanRow, ...]
    claims: tuple[CheckedClaim, ...]
    selected_by: tuple[str, ...]
    hardware: tuple[str, ...]
    code: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    damaged: tuple[str, ...] = ()


def build_table(
    layout: Layout,
    cells: Sequence[CellResults],
    paper: Mapping[tuple[str, str], PaperNumber],
    *,
    budget: str,
    paper_means: Mapping[str, PaperMeans] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Build a table from results; cells without results stay gaps.

    Args:
        layout: the arrangement of the table.
        cells: the results of each cell.
        paper: the paper's numbers by (row, column).
        budget: the name of the budget of all runs.
        paper_means: the paper's means over columns, by name.
        notes: further sentences for the caption.

    Returns:
        The table.

    Raises:
        UserError: results of different metrics, or a cell with runs of another configuration, or on different data files.
    """
    results = [result for cell in cells for result in cell.results]
    unmeasured = (layout.metric, layout.metric not in LOWER_IS_BETTER)
    metrics = {(result.metric, result.higher_is_better) for result in results} or {unmeasured}
    if len(metrics) > 1:
        raise UserError(f"table '{layout.name}' mixes metrics: {', '.join(sorted(name for name, _ in metrics))}")
    metric, higher = metrics.pop()
    rows = [_row(cell, paper.get((cell.row, cell.column)), layout.digits) for cell in cells]
    means = _means(layout, rows, paper_means or {})
    mixed = _mixed(cells)
    return Table(
        layout=layout,
        metric=metric,
        budget=budget,
        budget_said=_budget_said(results),
        higher_is_better=higher,
        rows=tuple(_marked(rows, layout.reference, higher, mixed)),
        means=means,
        claims=_claims(layout, rows, means, paper),
        selected_by=tuple(sorted({result.selected_by for result in results})),
        hardware=_hardware_of(results),
        code=tuple(sorted({_code(result) for result in results})),
        sources=tuple(sorted({f"{result.data}: {result.data_source}" for result in results})),
        notes=(*layout.notes, *notes, *(_said_of_mixed(column) for column in mixed)),
        damaged=tuple(dict.fromkeys(why for cell in cells for why in cell.damaged)),
    )


def _row(cell: CellResults, paper: PaperNumber | None, digits: int) -> Row:
    results = sorted(cell.results, key=lambda result: result.seed)
    _refuse_mixed(cell, results)
    values = [result.reported for result in results if result.reported is not None]
    ours = mean_and_error(values)
    marked = marks(results, cell.changed)
    judged = verdict(ours, len(values), paper, marked, digits)
    return Row(
        column=cell.column,
        group=cell.group,
        row=cell.row,
        n=len(values),
        seeds=tuple(result.seed for result in results),
        values=tuple(result.reported for result in results),
        mean=ours.mean,
        standard_error=ours.standard_error,
        last=_mean(results, "last"),
        paper=paper.mean if paper else None,
        paper_standard_error=paper.standard_error if paper else None,
        difference=ours.mean - paper.mean if paper and ours.mean is not None else None,
        verdict=judged.word,
        verdict_reason=judged.reason,
        marks=marked,
        anp=None if not results else 100 * fmean(result.anp for result in results),
        paper_anp=paper.anp if paper else None,
        nonzeros=_mean(results, "nonzeros"),
        density=_mean(results, "density"),
        seconds=_mean(results, "seconds"),
        disturbed=_any_disturbed(results),
        hardware=_hardware_of(results),
        id=cell.id,
        commands=tuple(result.command for result in results),
    )


def _any_disturbed(results: Sequence[Result]) -> bool | None:
    found = set(map(is_disturbed, results))
    return True if True in found else None if None in found else False


def _means(layout: Layout, rows: Sequence[Row], paper: Mapping[str, PaperMeans]) -> tuple[MeanRow, ...]:
    cells = {(row.row, row.column): row.mean for row in rows if row.mean is not None}
    marked = {(row.row, row.column): row.marks for row in rows}
    return tuple(compare_over(wanted, cells, marked, paper.get(wanted.name)) for wanted in layout.means)


def _claims(
    layout: Layout, rows: Sequence[Row], means: Sequence[MeanRow], paper: Mapping[tuple[str, str], PaperNumber]
) -> tuple[CheckedClaim, ...]:
    seeds = {
        (row.row, row.column): {seed: v for seed, v in zip(row.seeds, row.values, strict=True) if v is not None}
        for row in rows
    }
    marked = {(row.row, row.column): row.marks for row in rows}
    papers = {place: number.mean for place, number in paper.items()}
    return tuple(check_claim(claim, seeds, means, papers, marked) for claim in layout.claims)


def _mean(results: Sequence[Result], key: str) -> float | None:
    values = [value for result in results if (value := getattr(result, key)) is not None]
    return fmean(values) if values else None


def _refuse_mixed(cell: CellResults, results: Sequence[Result]) -> None:
    where = f"cell {cell.row} / {cell.column}"
    for result in results:
        if result.id != cell.id:
            raise UserError(
                f"{where}: the result of seed {result.seed} was made by another config than the cell's ({cell.id}); remove "
                "its run folder or train it again with overwrite=true"
            )
    sources = {result.data_source for result in results}
    if len(sources) > 1:
        found = ", ".join(sorted(sources))
        raise UserError(f"{where} mixes runs on different data files: {found}; train all seeds on the same")


def _mixed(cells: Sequence[CellResults]) -> list[str]:
    """The columns whose rows were trained on different data files."""
    sources: dict[str, set[str]] = {}
    for cell in cells:
        sources.setdefault(cell.column, set()).update(result.data_source for result in cell.results)
    return [column for column, found in sources.items() if len(found) > 1]


def _said_of_mixed(column: str) -> str:
    return f"{column}: its rows were trained on different data files; none is called the best, or better than another."


def _marked(rows: Sequence[Row], reference: str | None, higher: bool, mixed: Sequence[str]) -> list[Row]:
    """Mark the best row of each group and the rows above the reference, but none in `mixed` columns."""
    sign = 1 if higher else -1
    best: dict[tuple[str, str], float] = {}
    measured = Counter((row.column, row.group) for row in rows if row.mean is not None)
    references = {row.column: row.mean for row in rows if row.row == reference and row.mean is not None}
    for row in rows:
        if row.mean is not None:
            key = (row.column, row.group)
            best[key] = max(best.get(key, -math.inf), sign * row.mean)
    return [
        replace(
            row,
            best=row.mean is not None
            and row.column not in mixed
            and measured[row.column, row.group] > 1  # alone is not best
            and sign * row.mean == best[row.column, row.group],
            above=row.mean is not None
            and row.column not in mixed
            and row.column in references
            and sign * row.mean > sign * references[row.column],
        )
        for row in rows
    ]


def _budget_said(results: Sequence[Result]) -> str:
    """The length of the runs in words; empty without results."""
    if not results:
        return ""
    budget = results[0].science.budget
    limits = [
        f"{limit:,} {name} items"
        for limit, name in ((budget.train_limit, "training"), (budget.test_limit, "test"))
        if limit is not None
    ]
    on = f", on at most {' and '.join(limits)}" if limits else ""
    return f" ({budget.fraction:.0%} of the paper's training length{on})"


def _code(result: Result) -> str:
    made_by = result.environment
    commit = f"commit {made_by.commit[:10]}" if made_by.commit else f"version {made_by.chtexp}"
    return commit + (" with uncommitted changes" if made_by.uncommitted_changes else "")


def _hardware_of(results: Sequence[Result]) -> tuple[str, ...]:
    """The kinds of hardware that the runs were made on, each once: seconds on different kinds cannot be compared."""
    return tuple(sorted({_hardware(result) for result in results}))


def _hardware(result: Result) -> str:
    made_by = result.environment
    gpus = f", {', '.join(made_by.gpus)}" if made_by.gpus else ""
    threads = f"{made_by.threads} thread{'s' if made_by.threads > 1 else ''}"
    processes = f"{made_by.processes} processes of " if made_by.processes > 1 else ""
    return f"{made_by.cpu}, {processes}{threads}{gpus}, torch {made_by.libraries.torch}"
