"""Tables: seeds averaged, the paper's value beside, gaps as gaps, mixed cells refused, five formats."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from sample_results import ENVIRONMENT, science
from sample_results import found as sample
from well_formed import Read

from chtexp.errors import UserError
from chtexp.paper.numbers import paper_numbers
from chtexp.report import FORMATS, CellResults, Layout, Table, build_table, render
from chtexp.report.expected import PaperNumber
from chtexp.store import Result, run_id

LAYOUT = Layout(
    name="table7",
    title="Table 7: accuracy (%) & more",
    columns=("mnist", "emnist"),
    groups={"dense": ("FC",), "fixed sparsity": ("CHTs_n", "SET")},
    reference="FC",
    seeds=3,
)
PAPER = {("FC", "mnist"): PaperNumber(98.78, 0.02), ("SET", "mnist"): PaperNumber(98.14, 0.02, 100)}


def science_of(row: str, column: str) -> dict:
    return science(row, column, 0.1, "cpu")


def result(row: str, column: str, seed: int, best: float, **changes) -> Result:
    return sample(seed, best, **{"of": science_of(row, column), "last": best - 1, **changes})


def table(values: dict[tuple[str, str], list[float]]) -> Table:
    cells = [
        CellResults(group, row, column, run_id(science_of(row, column)), tuple(
            result(row, column, seed, best) for seed, best in enumerate(values.get((row, column), []))
        ))
        for group, rows in LAYOUT.groups.items() for row in rows for column in LAYOUT.columns
    ]  # fmt: skip
    return build_table(LAYOUT, cells, PAPER, budget="cpu")


VALUES = {("FC", "mnist"): [98.0, 98.2], ("CHTs_n", "mnist"): [98.5, 98.6, 98.7], ("SET", "mnist"): [97.0]}


def row_of(table: Table, row: str, column: str):
    return next(r for r in table.rows if (r.row, r.column) == (row, column))


def test_mean_standard_error_difference_bold_and_star() -> None:
    made = table(VALUES)
    fc, chts, set_ = (row_of(made, row, "mnist") for row in ("FC", "CHTs_n", "SET"))
    assert chts.mean == pytest.approx(98.6)
    assert chts.standard_error == pytest.approx(0.1 / math.sqrt(3))  # deviation of 98.5, 98.6, 98.7 is 0.1
    assert chts.n == 3
    assert chts.last == pytest.approx(97.6)
    assert (chts.best, chts.above) == (True, True)
    assert (set_.best, set_.above) == (False, False)
    assert (fc.best, fc.above) == (False, False)  # alone in its group
    assert set_.standard_error is None
    assert set_.difference == pytest.approx(97.0 - 98.14)
    assert (set_.paper, set_.paper_anp, set_.anp) == (98.14, 100, 25)
    assert chts.difference is None
    assert chts.values == (98.5, 98.6, 98.7)
    gap = row_of(made, "CHTs_n", "emnist")
    assert (gap.n, gap.mean, gap.seconds, gap.best) == (0, None, None, False)


def test_lower_is_better_turns_best_and_star_round() -> None:
    cells = [
        CellResults("dense", "FC", "mnist", run_id(science_of("FC", "mnist")),
                    (result("FC", "mnist", 0, 20.0, metric="perplexity", higher_is_better=False),)),
        CellResults("fixed", "A", "mnist", run_id(science_of("A", "mnist")),
                    (result("A", "mnist", 0, 19.0, metric="perplexity", higher_is_better=False),)),
        CellResults("fixed", "B", "mnist", run_id(science_of("B", "mnist")),
                    (result("B", "mnist", 0, 21.0, metric="perplexity", higher_is_better=False),)),
    ]  # fmt: skip
    made = build_table(LAYOUT, cells, {}, budget="cpu")
    assert [(row.best, row.above) for row in made.rows] == [(False, False), (True, True), (False, False)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"science": science_of("other", "mnist")}, "another config"),
        ({"data_source": "other files"}, "different data files: files, other files"),
    ],
)
def test_a_cell_of_runs_that_do_not_belong_together_is_refused(change: dict, said: str) -> None:
    identity = run_id(science_of("SET", "mnist"))
    results = (result("SET", "mnist", 0, 97.0), result("SET", "mnist", 1, 97.0, **change))
    with pytest.raises(UserError, match=said):
        build_table(LAYOUT, [CellResults("fixed sparsity", "SET", "mnist", identity, results)], PAPER, budget="cpu")


def test_markdown_shows_the_budget_the_gaps_and_the_marks() -> None:
    text = render(table(VALUES), "md")
    assert "Budget: cpu (10% of the paper's training length)" in text
    assert "**98.60 ± 0.06*†**" in text
    assert text.count("**") == 2
    assert "98.78 ± 0.02" in text
    assert "-1.14" in text
    gap = next(line for line in text.splitlines() if "emnist" in line and "SET" in line)
    assert gap.count("–") == 8


def test_a_bar_in_a_name_parts_no_cells_of_markdown() -> None:
    odd = replace(LAYOUT, columns=("a|b",), groups={"g|h": ("x|y",)}, reference=None, metric="m|n")
    text = render(build_table(odd, [CellResults("g|h", "x|y", "a|b", "", ())], {}, budget="cpu"), "md")
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert [cell.strip() for cell in rows[2][1:4]] == [r"a\|b", r"g\|h", r"x\|y"]
    assert r"m\|n" in text


@pytest.mark.parametrize("style", FORMATS)
def test_seconds_of_different_hardware_are_told_apart(style: str) -> None:
    def on(threads: int, **more) -> dict:
        return {"environment": {**ENVIRONMENT, "threads": threads, **more}}

    made = {"FC": [on(2)], "CHTs_n": [on(1), on(2)], "SET": [on(1, processes=2)]}
    cells = [
        CellResults("dense" if row == "FC" else "fixed sparsity", row, "mnist", run_id(science_of(row, "mnist")), tuple(
            result(row, "mnist", seed, 98.0, **change) for seed, change in enumerate(changes)
        ))
        for row, changes in made.items()
    ]  # fmt: skip
    text = render(build_table(LAYOUT, cells, PAPER, budget="cpu"), style)
    kinds = [f"some CPU, {threads}, torch 2.14.1" for threads in ("1 thread", "2 processes of 1 thread", "2 threads")]
    if style in ("csv", "json"):
        read = json.loads(text)["rows"] if style == "json" else list(csv.DictReader(io.StringIO(text)))
        found = {row["row"]: row["hardware"] for row in read}
        wanted = {"FC": kinds[2:], "CHTs_n": [kinds[0], kinds[2]], "SET": kinds[1:2]}
        assert found == (wanted if style == "json" else {row: "; ".join(on_) for row, on_ in wanted.items()})
    if style != "csv":
        numbered = "; ".join(f"[{place}] {kind}" for place, kind in enumerate(kinds, 1))
        assert f"Hardware: {numbered}; seconds with different numbers cannot be compared." in text
    if style in ("md", "latex", "html"):
        assert [text.count(f"2.0 {mark}") for mark in ("[3]", "[1, 3]", "[2]")] == [1, 1, 1]


def test_csv_and_json_hold_the_same_numbers_in_full() -> None:
    made = table(VALUES)
    read = list(csv.DictReader(io.StringIO(render(made, "csv"))))
    told = json.loads(render(made, "json"))
    assert [row["row"] for row in read] == [row["row"] for row in told["rows"]]
    chts = next(row for row in read if row["row"] == "CHTs_n" and row["column"] == "mnist")
    assert float(chts["mean"]) == pytest.approx(98.6)
    assert chts["budget"] == told["budget"] == "cpu"
    assert chts["commands"].count("chtexp train") == 3
    assert next(row for row in read if row["column"] == "emnist")["mean"] == ""


def test_latex_is_escaped_and_has_booktabs_rules() -> None:
    text = render(table(VALUES), "latex")
    assert r"\toprule" in text
    assert r"\textbf{98.60 $\pm$ 0.06*$\dagger$}" in text
    assert r"CHTs\_n" in text
    assert r"accuracy (\%) \& more" in text
    assert not any(raw in text.replace("\\_", "").replace("\\%", "") for raw in ("_", "±", "–"))


def test_html_is_well_formed_and_bold_where_it_should_be() -> None:
    text = render(table(VALUES), "html")
    assert "98.60 ± 0.06*†" in text
    assert text.count("font-weight: bold") == 1  # one rule, for all best cells
    assert "accuracy (%) &amp; more" in text
    Read(text)
    for broken in ("<table><tr><td>oops</b></td></tr></table>", "<p>1 < 2</p>", "<p>a & b</p>", "<p><br>"):
        with pytest.raises(AssertionError):
            Read(broken)


def test_without_results_the_metric_says_which_way_is_better() -> None:
    layout = replace(LAYOUT, metric="perplexity")
    cells = [CellResults("dense", "FC", "mnist", "", ())]
    made = build_table(layout, cells, PAPER, budget="paper")
    assert not made.higher_is_better
    assert "*: " not in render(made, "md")  # what no gap has is not explained
    assert build_table(LAYOUT, cells, PAPER, budget="paper").higher_is_better


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"train_limit": 64}, "10% of the paper's training length, on at most 64 training items"),
        ({"test_limit": 1000}, "10% of the paper's training length, on at most 1,000 test items"),
        ({"train_limit": 64, "test_limit": 32}, "on at most 64 training items and 32 test items"),
    ],
)
def test_each_limit_is_said_by_itself(limits: dict, said: str) -> None:
    science = science_of("FC", "mnist")
    science["budget"] |= limits
    found = result("FC", "mnist", 0, 90.0, of=science)
    cell = CellResults("dense", "FC", "mnist", run_id(science), (found,))
    assert said in build_table(LAYOUT, [cell], PAPER, budget="cpu").budget_said


def test_no_row_is_best_where_rows_were_trained_on_different_data() -> None:
    cells = [
        CellResults("fixed sparsity", row, "mnist", run_id(science_of(row, "mnist")),
                    (result(row, "mnist", 0, best, data_source=source),))
        for row, best, source in (("CHTs_n", 98.0, "files"), ("SET", 97.0, "a copy"))
    ]  # fmt: skip
    made = build_table(LAYOUT, cells, PAPER, budget="cpu")
    assert not any(row.best or row.above for row in made.rows)
    assert "mnist: its rows were trained on different data files; none is called the best" in render(made, "md")


def test_column_heads_are_escaped_in_html() -> None:
    found = result("FC", "mnist", 0, 98.0, metric="<script>alert(1)</script>")
    cell = CellResults("dense", "FC", "mnist", run_id(science_of("FC", "mnist")), (found,))
    assert "<script>" not in render(build_table(LAYOUT, [cell], PAPER, budget="cpu"), "html")


def test_every_format_renders_an_empty_table() -> None:
    for style in FORMATS:
        assert "98.78" in render(table({}), style)


def test_the_papers_numbers_are_those_of_the_paper() -> None:
    table1, table7 = paper_numbers("table1"), paper_numbers("table7")
    assert len(table1) == 8
    assert len(table7) == 27
    assert table7["CHTs_n", "mnist"] == PaperNumber(98.76, 0.05, 27)
    assert table7["GMP", "emnist"] == PaperNumber(86.93, 0.09, 75)
    assert table1["FC", "cifar10"] == PaperNumber(62.85, 0.16, None)
    assert table1["CHTss", "cifar10"] == PaperNumber(71.29, 0.14, 63)
    assert paper_numbers("quickstart") == {}


def test_seconds_measured_beside_other_work_are_marked_and_others_are_not() -> None:
    def timed(row: str, beside: list[dict]) -> CellResults:
        environments = [{**ENVIRONMENT, **one} for one in beside]
        results = [result(row, "mnist", seed, 98.0, environment=one) for seed, one in enumerate(environments)]
        group = next(group for group, rows in LAYOUT.groups.items() if row in rows)
        return CellResults(group, row, "mnist", run_id(science_of(row, "mnist")), tuple(results))

    own, others = ({"beside": {"disturbed": disturbed}} for disturbed in (False, True))
    made = build_table(
        LAYOUT, [timed("FC", [own, own]), timed("CHTs_n", [own, others]), timed("SET", [{}])], {}, budget="cpu"
    )
    assert [row.disturbed for row in made.rows] == [False, True, None]
    text = render(made, "md")
    assert [line.rpartition("|")[0].split()[-1] for line in text.splitlines() if "| mnist" in line] == [
        "2.0",
        "2.0‡",
        "2.0",
    ]
    assert "seconds ‡: measured beside other work, or with pauses." in text
    assert "seconds: 1 of 3 cells do not say whether they were measured beside other work." in text
    assert r"2.0$\ddagger$" in render(made, "latex")
    assert [row["disturbed"] for row in json.loads(render(made, "json"))["rows"]] == [False, True, None]
    assert "‡" not in render(build_table(LAYOUT, [timed("FC", [own]), timed("SET", [{}])], {}, budget="cpu"), "md")
