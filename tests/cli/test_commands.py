"""The commands together, as a person uses them, on small runs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.config.compatibility import own_recipe
from chtexp.store import RunFolder, condition

CHEAP = ["budget=smoke", "seed=0", "model.hidden=[32,32]", "budget.train_limit=64", "hardware.threads=1"]


def test_plan_sweep_status_table(chtexp: Callable, tmp_path: Path) -> None:
    cells = ["method=fc,set,chts_n", *CHEAP]
    planned = json.loads(chtexp("plan", "quickstart", *cells, "--json").stdout)
    assert [(row["row"], row["state"]) for row in planned] == [
        ("FC", "missing"),
        ("CHTs_n", "missing"),
        ("SET", "missing"),
    ]
    assert planned[0]["flops_dense"] == planned[0]["flops_sparse"] > planned[1]["flops_sparse"]
    assert planned[1]["nonzeros"] < planned[1]["parameters"]
    dry = chtexp("sweep", "quickstart", *cells, "--dry-run").stdout
    assert dry.count("chtexp train data=digits") == 3
    assert not RunFolder.every(tmp_path / "runs")
    assert "3 of 3 runs done" in chtexp("sweep", "quickstart", *cells).stdout
    folders = RunFolder.every(tmp_path / "runs")
    assert [condition(folder).state for folder in folders] == ["done"] * 3
    for folder in folders:
        for file in (folder.config, folder.environment, folder.metrics, folder.log, folder.commands):
            assert file.stat().st_size
    written = {folder: folder.result.stat().st_mtime_ns for folder in folders}
    assert "3 done, 0 to start" in chtexp("sweep", "quickstart", *cells).stdout
    assert {folder: folder.result.stat().st_mtime_ns for folder in folders} == written
    assert "3 runs in" in chtexp("status").stdout
    # the overrides that made the runs are what finds them again; without them every cell is a gap
    found = json.loads(chtexp("table", "quickstart", *CHEAP, "--format", "json").stdout)
    assert {row["row"]: row["n"] for row in found["rows"] if row["n"]} == {"FC": 1, "CHTs_n": 1, "SET": 1}
    assert found["budget"] == "smoke"
    chtexp("table", "quickstart", *CHEAP, "--format", "latex", "--output", "made/table.tex")
    assert r"\toprule" in (tmp_path / "made" / "table.tex").read_text()
    planned = json.loads(chtexp("plan", "quickstart", *cells, "--json").stdout)
    assert {row["state"] for row in planned} == {"done"}


def test_a_sweep_goes_on_after_a_failure_and_says_so(chtexp_process: Callable, tmp_path: Path) -> None:
    cells = ["quickstart", "method=fc,set,chts_n", *CHEAP]
    (item,) = [row for row in json.loads(chtexp_process("plan", *cells, "--json").stdout) if row["row"] == "CHTs_n"]
    done = chtexp_process("sweep", *cells, "task.learning_rate.start=1e12", check=1)
    assert "0 of 3 runs done" in done.stdout
    assert done.stderr.count("failed: ") == 3
    assert "Traceback" not in done.stderr
    assert item["state"] == "missing"


def test_hydras_own_multirun(chtexp_process: Callable, tmp_path: Path) -> None:
    done = chtexp_process(
        "train", "-m", "data=digits", "method=set,rigl", "seed=0,1", "method.sparsity=0.9", *CHEAP[:1], *CHEAP[2:]
    )
    assert "4 of 4 runs done" in done.stdout
    assert len(RunFolder.every(tmp_path / "runs")) == 4


def test_a_method_of_another_family_is_trained_with_a_hint(chtexp: Callable) -> None:
    typed = ["train", "data=digits", "method.sparsity=0.8", *CHEAP]
    hint = "note: method=llama/set is written for other models; method=set is made for data=digits\n"
    assert hint in chtexp(*typed, "method=llama/set").stderr
    assert "note" not in chtexp(*typed, "method=set").stderr
    assert own_recipe("set", "llama") == "llama/set"
    assert own_recipe("chts_n", "llama") is None


def test_cfg_job_shows_the_config_and_trains_nothing(chtexp: Callable, tmp_path: Path) -> None:
    said = chtexp("train", "data=digits", "method=rigl", "--cfg", "job").stdout
    assert "zeta_schedule: cosine" in said
    assert not (tmp_path / "runs").exists()
    assert "rule: gradient" in chtexp("train", "--cfg", "job", "--package", "method", "method=rigl").stdout


def test_two_starts_of_one_run_do_not_meet(chtexp_process: Callable, tmp_path: Path) -> None:
    from chtexp.config.compose import compose_run

    overrides = ["data=digits", "method=set", "method.sparsity=0.9", *CHEAP]
    run = compose_run([*overrides, f"paths.runs={tmp_path}/runs"])
    with run.folder.claimed():
        done = chtexp_process("train", *overrides, check=1)
        assert "another process is at work" in done.stderr
        assert f"process {os.getpid()} on" in done.stderr
    chtexp_process("train", *overrides)


def test_flags_and_words_stand_in_any_order(chtexp: Callable, tmp_path: Path) -> None:
    cells = ["quickstart", "--dry-run", "method=set", "--config-dir", str(tmp_path), "seed=0", "budget=smoke"]
    assert "1 to start" in chtexp("sweep", *cells).stdout
    assert "is no run's folder" in chtexp("translate", "nowhere", "--device", "cpu", "--", "-Hello.", check=2).stderr
    assert "is no run's folder" in chtexp("translate", "nowhere", "- a", "--device", "cpu", "-Oh no.", check=2).stderr


@pytest.mark.parametrize(("command", "code"), [("status", 2), ("plan table7", 0), ("table table7", 0)])
def test_looking_needs_no_data_and_changes_nothing(command: str, code: int, chtexp: Callable, tmp_path: Path) -> None:
    chtexp(*command.split(), CHTEXP_DATA="/nowhere", check=code)
    assert not (tmp_path / "runs").exists()


def test_paths_with_odd_letters_and_an_own_method_from_outside(chtexp: Callable, tmp_path: Path) -> None:
    own, runs = tmp_path / "my conf, a=b" / "method", tmp_path / "my runs, c=d"
    own.mkdir(parents=True)
    parts = "defaults: [{topology: er}, {removal: ri}, {regrowth: random}, {density: fixed}, _self_]"
    (own / "mine.yaml").write_text(f"{parts}\nname: Mine\nsparsity: 0.9\n")
    cells = ["quickstart", "+method=mine", "method=set", *CHEAP, "--config-dir", str(own.parent)]
    done = chtexp("sweep", *cells, CHTEXP_RUNS=str(runs))
    assert "2 of 2 runs done" in done.stdout
    table = json.loads(chtexp("table", *cells, "--format", "json", CHTEXP_RUNS=str(runs)).stdout)
    assert {row["row"]: row["n"] for row in table["rows"]} == {"SET": 1, "mine": 1}
    (mine,) = [folder for folder in RunFolder.every(runs) if "mine" in folder.path.parent.name]
    again = shlex.split(mine.last_command() or "")
    assert again[:2] == ["chtexp", "train"]
    assert "done already" in chtexp(*again[1:], CHTEXP_RUNS=str(runs)).stdout


def test_flags_may_stand_anywhere(chtexp: Callable) -> None:
    assert "rule: random" in chtexp("train", "data=digits", "--cfg", "job", "method=set", "--package", "method").stdout


def test_a_table_without_results_says_where_it_looked_and_what_to_type(chtexp: Callable, tmp_path: Path) -> None:
    typed = ["table7", "data=mnist", "row=FC,SET", "budget=cpu", f"paths.runs={tmp_path}/my runs"]
    done = chtexp("table", *typed)
    assert (
        "Budget: cpu. No cell has a result yet; – is a gap. The paper's values are at its full training." in done.stdout
    )
    assert "best accuracy" not in done.stdout
    assert f"no run of this table is done in {tmp_path}/my runs; see which it wants: chtexp plan table7" in done.stderr
    (command,) = [line.partition("it wants: ")[2] for line in done.stderr.splitlines()]
    assert shlex.split(command) == ["chtexp", "plan", *typed]
    assert "6 runs: 6 missing" in chtexp(*shlex.split(command)[1:]).stdout
    (tmp_path / "none.jsonl").touch()
    elsewhere = chtexp("table", "quickstart", "--results", "none.jsonl", "--config-dir", str(tmp_path))
    assert (
        f"is done, neither in {tmp_path}/runs nor in none.jsonl; see which it wants: chtexp plan quick"
        in elsewhere.stderr
    )
    assert elsewhere.stderr.endswith(f" --config-dir {tmp_path}\n")


def test_changed_science_is_said_and_stands_beside_no_paper_value(chtexp: Callable) -> None:
    said = chtexp("table", "table7", "data=mnist", "method.sparsity=0.5").stdout
    assert "The runs differ from the paper's by method.sparsity=0.5" in said
    assert "98.78" not in said
    assert "98.78" in chtexp("table", "table7", "data=mnist", "logger=wandb").stdout
