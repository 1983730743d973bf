"""Tables 18 to 20: read off evaluations, beside the paper's numbers, in every format, with results and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chtexp.config.compose import compose_run
from chtexp.config.resources import conf_dir
from chtexp.config.typed import describe
from chtexp.errors import UserError
from chtexp.paper.grid import Grid, load_grid, select
from chtexp.paper.inventory import paper_entries
from chtexp.paper.results import Results
from chtexp.paper.tables import finished_table
from chtexp.report import FORMATS, render
from chtexp.trained.zeroshot import PAPER_TASKS

TABLES = ("table18", "table19", "table20")


def train(runs: Path, row: str, tasks: tuple[str, ...] = (), *, limit: int | None = None) -> None:
    """Leave the folder of a run of Table 20 that is done, and evaluated on `tasks`: 50% on the first, 51 on the next, ..."""
    cells = select(load_grid("table20", [conf_dir()]), [f"row={row}", f"paths.runs={runs}"]).cells
    run = compose_run(cells[0].overrides)
    environment = {
        "commit": "c",
        "uncommitted_changes": False,
        "cpu": "c",
        "threads": 1,
        "gpus": [],
        "libraries": {"torch": "2"},
        "finished": "2026-01-02T00:00:00+00:00",
    }
    result = {
        "id": run.id, "science": run.science, "seed": 0, "budget": "paper", "metric": "perplexity", "higher_is_better": False,
        "reported": 15.0, "selected_by": "perplexity", "last": 15.0, "anp": 1.0, "nonzeros": 1, "density": 0.1, "seconds": 1.0,
        "steps": 1, "data": run.data.name, "method": run.method.name, "data_source": "s",
        "environment": environment, "command": "c",
    }  # fmt: skip
    scores = [
        {"task": task, "n": 10, "accuracy": 50.0 + place, "matthews": 0.0123 + 0.001 * place,
         "shares": {"0": 30.0, "1": 70.0}, "limit": limit}
        for place, task in enumerate(tasks)
    ]  # fmt: skip
    run.folder.path.mkdir(parents=True)
    run.folder.result.write_text(json.dumps(result))
    if scores:
        (run.folder.path / "zeroshot.json").write_text(json.dumps({"scores": scores}))


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("name", TABLES)
def test_without_results_the_papers_numbers_stand_alone(name: str, style: str, tmp_path: Path) -> None:
    shown = render(finished_table(name, [f"paths.runs={tmp_path}"], None), style).replace("$-$", "-")
    assert {"table18": "69.13", "table19": "-0.003", "table20": "67.88"}[name] in shown


def test_numbers_are_read_off_the_evaluations(tmp_path: Path) -> None:
    train(tmp_path, "FC", PAPER_TASKS)
    train(tmp_path, "CHTs_70", PAPER_TASKS[:1])
    where = [f"paths.runs={tmp_path}"]
    cells = {(row.row, row.column): row for row in finished_table("table20", where, None).rows}
    assert (cells["FC", "CoLA"].mean, cells["FC", "CoLA"].paper, cells["FC", "COPA"].mean) == (50.0, 40.27, 61.0)
    assert cells["FC", "Average"].mean == pytest.approx(55.5)
    assert (cells["CHTs_70", "CoLA"].n, cells["CHTs_70", "MNLI"].n, cells["CHTss_70", "CoLA"].n) == (1, 0, 0)
    assert (cells["FC", "CoLA"].last, cells["FC", "CoLA"].anp) == (None, 100.0)
    table20 = finished_table("table20", where, None)
    assert (table20.metric, table20.higher_is_better) == ("accuracy", True)
    assert any("not evaluated on all tasks of the table: 1 of its runs" in note for note in table20.notes)
    table19 = finished_table("table19", where, None)
    assert {row.row: row.mean for row in table19.rows if row.n} == {"FC": pytest.approx(0.0123 + 0.0055)}
    assert " 0.018 |" in render(table19, "md")
    assert "-0.013" in render(table19, "md")  # the difference from the paper's 0.031
    shares = {(row.row, row.column): row.mean for row in finished_table("table18", where, None).rows}
    assert (shares["positive", "CoLA"], shares["negative", "BoolQ"]) == (70.0, 30.0)
    for name in TABLES:
        for style in FORMATS:
            assert render(finished_table(name, where, None), style)


def test_the_list_of_the_paper_counts_what_is_evaluated(tmp_path: Path) -> None:
    train(tmp_path, "FC", PAPER_TASKS)
    train(tmp_path, "CHTs_70")
    entries = {entry.name: entry for entry in paper_entries(Results(tmp_path, {}))}
    assert [(entries[name].done, entries[name].wanted) for name in TABLES] == [(8, 8), (1, 7), (13, 91)]
    assert entries["table19"].make == ("chtexp sweep table19", "chtexp zeroshot RUN", "chtexp table table19")
    assert entries["table17"].done == 4  # FC in three columns, CHTs at 70%
    assert entries["table20"].last_run == "2026-01-02T00:00:00+00:00"


def test_a_limit_of_items_is_marked_and_never_compared(tmp_path: Path) -> None:
    train(tmp_path, "FC", PAPER_TASKS, limit=10)
    (row,) = [
        r
        for r in finished_table("table20", [f"paths.runs={tmp_path}"], None).rows
        if (r.row, r.column) == ("FC", "RTE")
    ]
    assert (row.verdict, row.marks) == ("not comparable", ("the first 10 items of a task",))


GRID = {"title": "t", "seeds": [0], "columns": {"x": [], "y": []}, "groups": {"g": {"A": [], "B": []}}}
READS = {"evaluation": "zeroshot", "score": "accuracy", "tasks": {"x": "rte", "y": ["rte", "cola"]}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": {"x": "rte"}}, "unknown column without tasks 'y'"),
        ({"tasks": READS["tasks"] | {"z": "rte"}}, "unknown column of tasks 'z'"),
        ({"score": "f1"}, "reads.score"),
        ({"score": {"A": "accuracy"}}, "unknown row without a score 'B'"),
        ({"score": {"A": "accuracy", "B": "matthews", "C": "matthews"}}, "unknown row of a score 'C'"),
        ({"evaluation": "fewshot"}, "reads.evaluation should be 'zeroshot'"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict, said: str) -> None:
    describe(Grid, GRID | {"reads": READS})
    with pytest.raises(UserError, match=said):
        describe(Grid, GRID | {"reads": READS | change})


def test_a_row_is_no_score() -> None:
    with pytest.raises(UserError, match="row 'mine' cannot be added"):
        load_grid("table18", [conf_dir()]).shown("mine", "CoLA", [{}])
