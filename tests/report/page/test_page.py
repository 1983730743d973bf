"""The page without a browser: what it counts, what it escapes, what it needs from elsewhere (nothing)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from pages import HOSTILE, SVG, result, small_page, small_table
from well_formed import Read

from chtexp.report.page import FigurePart, TablePart, Typed, render_page, run_of_folder, summary_markdown
from chtexp.report.page.curves import HEIGHT, MOST, WIDTH, curves
from chtexp.report.page.runs import anchor
from chtexp.report.page.summary import in_words, of_the_paper, tally
from chtexp.store import Condition, RunFolder, condition


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(small_page())


def test_hostile_names_are_text(html: str) -> None:
    read = Read(html)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert {tag for tag, attributes in read.tags if any(name.startswith("on") for name in attributes)} == set()
    assert [(a["src"] or "")[:26] for tag, a in read.tags if tag == "img"] == ["data:image/svg+xml;base64,"]
    assert "<img src=x" not in html
    assert "{{ 7 * 7 }}" in html
    assert html.count("document.title=&#39;owned&#39;") > 10


def test_nothing_is_fetched_and_no_foreign_script_may_run(html: str) -> None:
    read = Read(html)
    for name in ("src", "href"):
        assert all(value.startswith(("#", "data:")) for value in read.values(name)), read.values(name)
    assert "@import" not in html
    assert "url(" not in html
    (policy,) = [a["content"] for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert re.search(r"script-src 'sha256-[\w+/]{43}='$", policy)


def test_links_lead_somewhere_and_names_are_given_once(html: str) -> None:
    read = Read(html)
    names = read.values("id")
    assert len(names) == len(set(names))
    assert {link[1:] for link in read.values("href") if link.startswith("#")} <= set(names)
    row = result("A", 0, 70.0)
    assert html.count(f'href="#{anchor("run", row.id, "0")}"') >= 2  # from the cell and from the list of runs


@pytest.mark.parametrize("name", ["runs", "main", "tables", "search", "tally-paper", "figure5", "run", "table", "a b"])
def test_a_table_may_have_any_name(name: str) -> None:
    table, _ = small_table(name)
    page = small_page()
    page = replace(
        page,
        tables=[*page.tables, TablePart(name, table)],
        figures=[*page.figures, FigurePart(f"{name}-curves", "Curves", SVG, table=name)],
    )
    read = Read(render_page(page))
    names = read.values("id")
    assert len(names) == len(set(names))
    assert not any(re.search(r"\s", one) for one in names)
    assert {link[1:] for link in read.values("href") if link.startswith("#")} <= set(names)


def test_anchors_of_other_names_differ() -> None:
    odd = ["a b", "a.b", "a-b", "a~20b", "a", "a/b", 'a"b', "é"]
    assert len({anchor("run", name, "0") for name in odd}) == len(odd)
    assert anchor("a", "b.c") != anchor("a.b", "c")


def test_what_is_not_the_papers_is_never_counted_as_reproduced() -> None:
    page = small_page()
    assert page.tables[0].table is not None
    assert page.tables[1].table is not None
    whole, short = (tally(page.tables[0].table), tally(page.tables[1].table))
    assert whole.verdicts == {"consistent": 1, "higher": 1, "lower": 1, "not comparable": 1, "no result": 1}
    assert short.verdicts == {"not comparable": 4, "no result": 1}
    assert (whole.wanted, whole.measured, whole.complete, whole.marked, short.marked) == (5, 4, 1, 0, 4)
    assert (whole.claims, whole.marked_claims) == ({"holds": 1, "fails": 1, "open": 1}, {})
    assert short.claims.get("holds", 0) == short.claims.get("fails", 0) == 0
    assert (short.marked_claims["holds"], short.marked_claims["fails"]) == (1, 1)
    said = "\n".join(in_words(of_the_paper(page.tables)))
    assert "ask for 10 cells; 8 have results, 2 of them of every seed wanted" in said
    assert "3 cells can be compared with the paper: 1 consistent, 1 higher, 1 lower" in said
    assert "4 cells † differ in the runs from the paper (budget b): shown, never counted" in said
    assert "1 cell has results and nothing to be compared with" in said
    assert (
        "Of 6 orders that the paper reports (one row above another), 1 hold (0 significantly) and 1 fail (0 significantly) in "
        "comparable results; 2 are open" in said
    )
    assert "In results † alone, 1 more hold and 1 more fail" in said


def test_commands_repeat_what_was_typed_for_the_page() -> None:
    typed = Typed(("budget=cpu", "paths.runs=my runs"), ("--results", "a.jsonl"), ("--config-dir", "c"))
    assert (
        typed.command("table", "t") == "chtexp table t budget=cpu 'paths.runs=my runs' --results a.jsonl --config-dir c"
    )
    html = render_page(replace(small_page(), typed=typed))
    assert "<code>chtexp plan table1 budget=cpu &#39;paths.runs=my runs&#39; --config-dir c</code> lists" in html


def test_the_summary_as_markdown() -> None:
    table, other, nothing = small_table()[0], small_table("table2", 0.1)[0], small_table("table3")[0]
    nothing = replace(nothing, rows=tuple(replace(row, n=0, marks=()) for row in nothing.rows))
    parts = [
        TablePart("table1", table),
        TablePart("table2", other),
        TablePart("table3", nothing),
        TablePart("mine", table),
    ]
    text = summary_markdown(parts)
    fields = [
        [part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| table")
    ]
    assert fields == [
        ["table1", "5", "4", "b", "1", "1", "1", "1", "1", "1"],
        ["table2", "5", "4", "b †", "0", "0", "0", "0 + 1 †", "0 + 1 †", "1"],
    ]
    assert "No results yet: table3." in text
    assert "mine" not in text


def test_numbers_have_the_digits_of_their_tables() -> None:
    page = small_page()
    exact, other = (
        replace(part, table=replace(part.table, layout=replace(part.table.layout, digits=digits)))
        for part, digits in zip(page.tables[:2], (3, 0), strict=True)
        if part.table
    )
    html = render_page(replace(page, tables=[exact, other]))
    assert "70.200 ± 0.115" in html  # at a glance
    assert "60.000 ± 0.100" in html
    assert "accuracy <b>1234.500</b>" in html  # a run of the first table
    assert "<dt>last evaluation</dt><dd>1234.500</dd>" in html
    assert "accuracy <b>1234</b>" in html  # and one of the other
    alone = render_page(replace(page, tables=[]))
    assert "accuracy <b>1234.50</b>" in alone


def test_without_results_nothing_is_said_to_be_reproduced() -> None:
    table, _ = small_table("table2", 0.1)
    assert "No cell can be compared" in "\n".join(in_words(tally(table)))
    empty = replace(small_page(), runs=(), tables=(), figures=())
    assert "No run was found" in render_page(empty)


def test_a_curve_spans_its_box_and_keeps_first_and_last() -> None:
    records = [
        {"kind": "evaluation", "step": step, "accuracy": 50 + step / 100, "density": 0.5} for step in range(1, 2001)
    ]
    accuracy, density = curves(records, "accuracy")
    assert (accuracy.low, accuracy.high, accuracy.last) == (50.01, 70, 70)
    points = [tuple(map(float, point.split())) for point in accuracy.path[1:].split("L")]
    assert len(points) <= MOST + 1
    assert points[0] == (4, HEIGHT - 4)  # the first is lowest, at the bottom left
    assert points[-1] == (WIDTH - 4, 4)
    assert {float(point.split()[1]) for point in density.path[1:].split("L")} == {HEIGHT / 2}
    assert curves([{"step": 1, "accuracy": float("nan")}], "accuracy") == ()


def test_a_run_shows_all_of_itself(trained: Callable[[], RunFolder]) -> None:
    folder = trained()
    shown = run_of_folder(folder, condition(folder))
    assert (shown.state, shown.damage, shown.data, shown.method) == ("done", (), "digits", "SET")
    assert [curve.label for curve in shown.curves][:2] == ["accuracy (%)", "training loss"]
    assert shown.commands == ("chtexp train data=digits",)
    assert "train_limit: 160" in shown.config
    assert shown.log
    assert {"commit", "hardware", "density"} <= shown.facts.keys()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("result.json", "{"), ("result.json", "[]"), ("result.json", '{"id": "x"}'), ("metrics.jsonl", "{broken\n"),
        ("metrics.jsonl", '{"step": "x", "accuracy": []}\n'), ("config.yaml", "a: [\n"), ("config.yaml", "- 1\n"),
        ("environment.json", '{"a": 1}'), ("environment.json", "["), ("command.txt", b"\xff\xfe\n"),
        ("result.json", b"\xff"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_shown_as_damaged(trained: Callable[[], RunFolder], file: str, content: str | bytes) -> None:
    folder = trained()
    (folder.path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    shown = run_of_folder(folder, condition(folder))
    assert shown.state == "damaged"
    assert any(file in line for line in shown.damage)
    assert (shown.data, shown.method.lower()) == ("digits", "set")
    assert "This run is damaged" in render_page(replace(small_page(), runs=[shown]))


def test_a_run_whose_starts_cannot_be_read_is_damaged(trained: Callable[[], RunFolder]) -> None:
    shown = run_of_folder(trained(), Condition("damaged", "its record of starts cannot be read"))
    assert (shown.state, shown.damage) == ("damaged", ("its record of starts cannot be read",))


def test_hostile_text_was_hostile() -> None:
    assert "<script>" in HOSTILE
