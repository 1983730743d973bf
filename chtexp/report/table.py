"""One table: results gathered by cell, seeds averaged, the paper's value beside each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from chtexp.errors import UserError
from chtexp.report.paper_numbers import PaperNumber
from chtexp.store import run_id

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """What stands where. groups: rows by group, which compete within it. reference: the row a star is measured against."""

    name: str
    title: str
    columns: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    reference: str | None
    seeds: int
    metric: str = "accuracy"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellResults:
    """The finished runs of one cell. id: the identity of the config that the cell asks for."""

    group: str
    row: str
    column: str
    id: str
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Row:
    """One cell of the paper's table, as one row with all that is known of it.

    mean, standard_error (None below two seeds), last: in the metric's unit; anp, paper_anp in percent; seconds: mean
    training time of a run; best: the best of its group; above: better than the reference.
    """

    column: str
    group: str
    row: str
    n: int
    seeds: tuple[int, ...]
    mean: float | None
    standard_error: float | None
    last: float | None
    paper: float | None
    paper_standard_error: float | None
    difference: float | None
    anp: float | None
    paper_anp: float | None
    nonzeros: float | None
    density: float | None
    seconds: float | None
    id: str
    commands: tuple[str, ...]
    best: bool = False
    above: bool = False


@dataclass(frozen=True)
class Table:
    """Rows in reading order, and what must be said with them."""

    layout: Layout
    metric: str
    budget: str
    budget_said: str
    rows: tuple[Row, ...]
    selected_by: tuple[str, ...]
    hardware: tuple[str, ...]
    code: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def build_table(
    layout: Layout,
    cells: Sequence[CellResults],
    paper: Mapping[tuple[str, str], PaperNumber],
    *,
    budget: str,
    notes: Sequence[str] = (),
) -> Table:
    """The table of `cells`; cells without results stay gaps.

    Raises UserError when the runs of a cell do not belong together: another config than the cell's, or other data files.
    """
    results = [result for cell in cells for result in cell.results]
    metrics = {(result["metric"], result["higher_is_better"]) for result in results} or {(layout.metric, True)}
    if len(metrics) > 1:
        raise UserError(f"table '{layout.name}' mixes metrics: {', '.join(sorted(name for name, _ in metrics))}")
    metric, higher = metrics.pop()
    rows = [_row(cell, paper.get((cell.row, cell.column))) for cell in cells]
    return Table(
        layout=layout,
        metric=metric,
        budget=budget,
        budget_said=_budget_said(results),
        rows=tuple(_marked(rows, layout.reference, higher)),
        selected_by=tuple(sorted({result["selected_by"] for result in results})),
        hardware=tuple(sorted({_hardware(result) for result in results})),
        code=tuple(sorted({_code(result) for result in results})),
        sources=tuple(sorted({f"{result['data']}: {result['data_source']}" for result in results})),
        notes=(*layout.notes, *notes),
    )


def _row(cell: CellResults, paper: PaperNumber | None) -> Row:
    results = sorted(cell.results, key=lambda result: result["seed"])
    _refuse_mixed(cell, results)
    values = [result["reported"] for result in results if result["reported"] is not None]
    mean = fmean(values) if values else None
    return Row(
        column=cell.column,
        group=cell.group,
        row=cell.row,
        n=len(values),
        seeds=tuple(result["seed"] for result in results),
        mean=mean,
        standard_error=stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None,
        last=_mean(results, "last"),
        paper=paper.mean if paper else None,
        paper_standard_error=paper.standard_error if paper else None,
        difference=mean - paper.mean if paper and mean is not None else None,
        anp=None if not results else 100 * fmean(result["anp"] for result in results),
        paper_anp=paper.anp if paper else None,
        nonzeros=_mean(results, "nonzeros"),
        density=_mean(results, "density"),
        seconds=_mean(results, "seconds"),
        id=cell.id,
        commands=tuple(result["command"] for result in results),
    )


def _mean(results: Sequence[Result], key: str) -> float | None:
    values = [result[key] for result in results if result[key] is not None]
    return fmean(values) if values else None


def _refuse_mixed(cell: CellResults, results: Sequence[Result]) -> None:
    where = f"cell {cell.row} / {cell.column}"
    for result in results:
        if run_id(result["science"]) != cell.id or result["id"] != cell.id:
            raise UserError(
                f"{where}: the result of seed {result['seed']} was made by another config than the cell's ({cell.id}); remove "
                "its run folder or train it again with overwrite=true"
            )
    sources = {result["data_source"] for result in results}
    if len(sources) > 1:
        found = ", ".join(sorted(sources))
        raise UserError(f"{where} mixes runs on different data files: {found}; train all seeds on the same")


def _marked(rows: Sequence[Row], reference: str | None, higher: bool) -> list[Row]:
    """Rows with the best of each group marked, and those above the reference."""
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
            and measured[row.column, row.group] > 1  # alone is not best
            and sign * row.mean == best[row.column, row.group],
            above=row.mean is not None and row.column in references and sign * row.mean > sign * references[row.column],
        )
        for row in rows
    ]


def _budget_said(results: Sequence[Result]) -> str:
    """How long the runs were, in words, or nothing where none is there to tell."""
    budgets = [result["science"]["budget"] for result in results]
    if not budgets:
        return ""
    said = f"{budgets[0]['fraction']:.0%} of the paper's training length"
    if budgets[0]["train_limit"]:
        limits = f"{budgets[0]['train_limit']:,} training and {budgets[0]['test_limit']:,} test items"
        said += f", on at most {limits}"
    return f" ({said})"


def _code(result: Result) -> str:
    made_by = result["environment"]
    commit = f"commit {made_by['commit'][:10]}" if made_by["commit"] else f"version {made_by['chtexp']}"
    return commit + (" with uncommitted changes" if made_by["uncommitted_changes"] else "")


def _hardware(result: Result) -> str:
    made_by = result["environment"]
    gpus = f", {', '.join(made_by['gpus'])}" if made_by["gpus"] else ""
    threads = f"{made_by['threads']} thread{'s' if made_by['threads'] > 1 else ''}"
    return f"{made_by['cpu']}, {threads}{gpus}, torch {made_by['libraries']['torch']}"
