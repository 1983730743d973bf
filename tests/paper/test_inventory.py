"""The list of what the paper shows: every name, what counts as done, and that nothing is composed in vain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_results import TABLE2, science, table2_of_today
from sample_results import found as made

from chtexp.paper.inventory import Entry, others, paper_entries
from chtexp.paper.numbers import paper_numbers
from chtexp.paper.results import Results
from chtexp.paper.tables import finished_table
from chtexp.store import Result
from chtexp.store.collection import read_collection

NAMES = [f"table{number}" for number in (1, 2, 3, *range(7, 21))]
FIGURES = [f"figure{number}" for number in (2, 3, *range(5, 13))]


@pytest.fixture
def no_composing(monkeypatch) -> None:
    def refuse(*ignored: object) -> None:
        raise AssertionError("a configuration was composed")

    monkeypatch.setattr("chtexp.config.compose.Composer.run", refuse)


def by_name(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


def test_without_results_every_name_is_listed_and_nothing_composed(no_composing) -> None:
    entries = paper_entries(Results(Path("nowhere"), {}))
    names = [entry.name for entry in entries]
    assert [name for name in names if name in [*NAMES, *FIGURES]] == [*NAMES, *FIGURES]
    assert {entry.done for entry in entries if entry.name not in others()} == {0}
    for name, entry in by_name(entries).items():
        assert entry.title
        assert entry.make
        if name in NAMES and name != "table16":
            assert entry.wanted >= len(paper_numbers(name))


@pytest.fixture
def table2(tmp_path: Path) -> Path:
    """Four runs of Table 2, collected."""
    return table2_of_today(tmp_path)


def test_the_cells_done_are_those_that_the_table_shows(table2: Path, tmp_path: Path) -> None:
    entries = by_name(paper_entries(Results(tmp_path, read_collection(table2))))
    for name in ("table2", "table11"):
        shown = finished_table(name, [f"paths.runs={tmp_path}"], None, [table2])
        assert entries[name].done == sum(row.n > 0 for row in shown.rows) > 0
        assert entries[name].budget == shown.budget == "cpu"
        assert entries[name].state == "begun"
    assert (entries["table2"].done, entries["table2"].wanted, entries["table2"].results) == (
        5,
        54,
        4,
    )  # FC: in two columns
    assert entries["table7"].done == 0


def test_the_last_run_is_the_latest_that_says_when(table2: Path) -> None:
    found = read_collection(table2)
    assert by_name(paper_entries(Results(Path("nowhere"), found)))["table2"].last_run is None
    days = iter(["2026-01-03T00:00:00+00:00", "2026-01-05T00:00:00+00:00", "2026-01-04T00:00:00+00:00"])
    dated = {
        key: result.changed(environment={**result.environment.plain, "finished": next(days, None)})
        for key, result in found.items()
    }
    assert by_name(paper_entries(Results(Path("nowhere"), dated)))["table2"].last_run == "2026-01-05T00:00:00+00:00"


def test_results_of_another_configuration_are_not_counted(table2: Path) -> None:
    others = enumerate(read_collection(table2).values())
    found = {("0123456789", seed): changed(result, id="0123456789", seed=seed) for seed, result in others}
    assert by_name(paper_entries(Results(Path("nowhere"), found)))["table2"].done == 0


def test_complete_is_every_seed_of_the_papers_own_training(monkeypatch) -> None:
    cases = {
        "complete": dict.fromkeys(range(3), WHOLE),
        "begun": {0: WHOLE, 1: WHOLE},
        "without a number": {0: WHOLE, 1: WHOLE, 2: made(value=None)},
        "short": dict.fromkeys(range(3), made(of=science(fraction=0.1))),
        "stand-in": dict.fromkeys(range(3), made(data_source="a stand-in: some")),
    }
    for case, seeds in cases.items():
        done = Results(Path("nowhere"), {WHOLE.key: WHOLE})  # so that its budget is looked at
        found = [changed(one, seed=seed) for seed, one in seeds.items()]
        monkeypatch.setattr(done, "of", lambda identity, found=found: tuple(changed(one, id=identity) for one in found))
        table7 = by_name(paper_entries(done))["table7"]
        assert (table7.done, table7.state) == (table7.wanted, "complete" if case == "complete" else "begun"), case
        assert bool(table7.marks) == (case in ("short", "stand-in"))


WHOLE = made()


def changed(result: Result, **values: object) -> Result:
    """As no file can say it."""
    return result.model_copy(update=values)


def test_the_command(chtexp: Callable, table2: Path) -> None:
    listed = json.loads(chtexp("paper", "--json", "--results", str(table2)).stdout)
    (entry,) = [entry for entry in listed if entry["name"] == "table2"]
    assert (entry["done"], entry["state"], entry["budget"]) == (5, "begun", "cpu")
    assert entry["make"] == ["chtexp sweep table2", "chtexp table table2"]
    nano = str(TABLE2.with_name("nano-cpu.jsonl"))  # as a shell makes two words of results/*.jsonl
    both = json.loads(chtexp("paper", "--json", "--results", str(table2), nano, "paths.runs=elsewhere").stdout)
    assert both == listed
    assert "chtexp figure figure5" in chtexp("paper", "paths.runs=elsewhere").stdout
    assert "there is no file nosuch.jsonl" in chtexp("paper", "--results", "nosuch.jsonl", check=2).stderr
    assert "paths.runs must name a folder" in chtexp("paper", "paths.runs=", check=2).stderr
