"""A page as tests want it: two small tables, and runs with hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sample_results import found as sample
from sample_results import science

from chtexp.report import CellResults, Claim, Layout, Table, build_table
from chtexp.report.expected import PaperNumber
from chtexp.report.page import FigurePart, Page, RunPart, TablePart, collected_run
from chtexp.store import Result

HOSTILE = (
    """</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">'&{{ 7 * 7 }}"""
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><path d="M0 0L20 10" stroke="#000"/></svg>'


def result(method: str, seed: int, value: float, *, fraction: float = 1.0, data: str = "x", **more: Any) -> Result:
    """A result as a run leaves it behind."""
    return sample(seed, value, science(method, data, fraction, "b"), seconds=2.5, nonzeros=1234, **more)


def cell(method: str, results: list[Result]) -> CellResults:
    return CellResults("fixed", method, "x", results[0].id if results else "", tuple(results))


METHODS = ("A", "B", "C", "D", "E")


def small_table(name: str = "table1", fraction: float = 1.0) -> tuple[Table, list[Result]]:
    """A is consistent with the paper, B higher, C lower, D has no value in the paper, E no result."""
    values = {"A": (70.0, 70.2, 70.4), "B": (1234.5, 1234.7), "C": (9.8, 9.9), "D": (50.0,)}
    found = {m: [result(m, seed, v, fraction=fraction) for seed, v in enumerate(vs)] for m, vs in values.items()}
    paper = {("A", "x"): 70.1, ("B", "x"): 80.0, ("C", "x"): 60.0, ("E", "x"): 1.0}
    layout = Layout(
        name, f"Table 1: {name}", ("x",), {"fixed": METHODS}, None, 3,
        claims=(Claim("A", "C", "x"), Claim("C", "A", "x"), Claim("A", "E", "x")),
    )  # fmt: skip
    table = build_table(
        layout,
        [cell(method, found.get(method, [])) for method in METHODS],
        {place: PaperNumber(mean, 0.1) for place, mean in paper.items()},
        budget="b",
    )
    return table, [one for several in found.values() for one in several]


def small_page(hostile: str = HOSTILE) -> Page:
    """Two tables of the paper (the other's runs are shorter than the paper's), one that cannot be made, a figure, runs."""
    table, results = small_table()
    other, more = small_table("table2", 0.1)
    runs = [collected_run(one, Path("r.jsonl")) for one in (*results, *more)]
    bad = RunPart(
        name=hostile, id=hostile, seed=hostile, state="failed", reason=hostile, place=hostile, data=hostile, method=hostile,
        budget=hostile, metric=hostile, reported=1.0, last=1.0, seconds=1.0, facts={hostile: hostile}, commands=(hostile,),
        config=hostile, result=hostile, log=(hostile,), damage=(hostile,),
    )  # fmt: skip
    return Page(
        made="today",
        version="0",
        runs_from=("runs", hostile),
        tables=[TablePart("table1", table), TablePart("table2", other), TablePart("mine", None, hostile)],
        figures=[FigurePart("figure5", hostile, SVG), FigurePart("figure6", "none", "", hostile)],
        runs=[*runs, bad],
    )
