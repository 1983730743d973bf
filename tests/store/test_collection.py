"""Results of many runs in one file: merged by identity, refused where they contradict each other, and fast."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_results import ENVIRONMENT, ID, found, result, science

from chtexp.errors import UserError
from chtexp.store import RunFolder, run_id
from chtexp.store.collection import add_to_collection, merged, read_collection, results_below, write_collection
from chtexp.store.files import write_json
from chtexp.store.seal import sealed


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        write_json(tmp_path / "runs" / f"x-y-z-{ID}" / f"seed-{seed}" / "result.json", result(seed))
    below = results_below(tmp_path / "runs")
    write_collection(tmp_path / name, below)
    again = read_collection(tmp_path / name)
    assert again == below
    assert [seed for _, seed in again] == [0, 1, 2]


def test_commands_leave_out_where_runs_lay(tmp_path: Path) -> None:
    kept = "chtexp train data=mnist 'model.hidden=[40,40]' seed=0"
    write_collection(tmp_path / "all.jsonl", {("a", 0): found(command=f"{kept} 'paths.runs=/home/me/my runs'")})
    assert read_collection(tmp_path / "all.jsonl")[ID, 0].command == kept


def test_pandas_reads_it_as_the_documentation_says(tmp_path: Path) -> None:
    import pandas

    write_collection(tmp_path / "runs.parquet", {("a", seed): found(seed, float(seed)) for seed in range(3)})
    runs = pandas.read_parquet(tmp_path / "runs.parquet")
    assert runs.groupby(["data", "method"])["reported"].mean().tolist() == [1.0]


def test_machines_merge_and_contradictions_are_refused_and_shown() -> None:
    one, other = (
        {("a", 0): found(0)},
        {("a", 1): found(1), ("a", 0): found(0, environment=ENVIRONMENT | {"host": "b"}, seconds=3.0)},
    )
    assert set(merged({"x": one, "y": other})) == {("a", 0), ("a", 1)}
    other["a", 0] = found(0, last=96.0, metrics={}, environment=ENVIRONMENT | {"host": "b"})
    with pytest.raises(UserError, match=rf"\({ID}\) seed 0 of h and b: last 97.5 and 96.0, metrics .* \(x, y\)"):
        merged({"x": one, "y": other})
    said: list[str] = []
    assert merged({"x": one, "y": other}, said.append)["a", 0].last == 97.5
    assert merged({"y": other, "x": one}, said.append)["a", 0].last == 96.0
    assert len(said) == 2


@pytest.mark.parametrize("text", ["{", "[1]", '{"id": 3}', "\x00\x01"])
def test_a_file_that_is_no_collection_is_named(text: str, tmp_path: Path) -> None:
    for name in ("torn.jsonl", "torn.parquet"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=f"{name} cannot be read as a collection"):
            read_collection(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"anp": None}, f"{ID} seed 0: is no whole result: anp should be a valid number"),
        ({"reported": float("nan")}, "record 1: NaN is no number"),
    ],
)
def test_a_result_of_which_no_table_can_be_made_is_refused_by_name(changed: dict, said: str, tmp_path: Path) -> None:
    (tmp_path / "some.jsonl").write_text(json.dumps(result() | changed) + "\n")
    with pytest.raises(UserError, match=f"some.jsonl cannot be read as a collection of results: {said}"):
        read_collection(tmp_path / "some.jsonl")


def test_collect_and_clean_by_the_command_line(chtexp: Callable, tmp_path: Path) -> None:
    small = ["data=digits", "budget=smoke", "model.hidden=[100]", "method.sparsity=0.95"]
    for seed in (0, 1):
        chtexp("train", *small, f"seed={seed}")
    assert "2 results in" in chtexp("collect", "--output", "all.parquet").stdout
    assert "2 in all.parquet" in chtexp("collect", "--output", "all.parquet").stdout  # the same again
    chtexp("collect", "--output", "elsewhere.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "elsewhere.jsonl").read_text().splitlines()]
    (tmp_path / "elsewhere.jsonl").write_text(json.dumps(sealed(lines[0] | {"seed": 7})) + "\n")
    assert "3 in all.parquet" in chtexp("collect", "--output", "all.parquet", "--add", "elsewhere.jsonl").stdout
    (folder, _) = RunFolder.every(tmp_path / "runs")
    write_json(folder.result, sealed(lines[0] | {"last": 1.0}))
    refused = chtexp("collect", "--output", "all.parquet", check=2)
    assert "has other numbers in two places" in refused.stderr
    assert "Traceback" not in refused.stderr

    grid = ["quickstart", "method=chts_n", *small[1:3], "--format", "json"]
    folder.result.unlink()
    (row,) = [row for row in json.loads(chtexp("table", *grid).stdout)["rows"] if row["row"] == "CHTs_n"]
    assert row["seeds"] == [1]
    (row,) = [
        row
        for row in json.loads(chtexp("table", *grid, "--results", "all.parquet").stdout)["rows"]
        if row["row"] == "CHTs_n"
    ]
    assert row["seeds"] == [0, 1, 7]
    write_json(folder.result, lines[0])

    shown = chtexp("clean").stdout
    assert "checkpoints of runs that are done: 2" in shown
    assert "add --yes" in chtexp("clean", "--checkpoints").stdout
    assert folder.checkpoints.exists()
    assert f"{folder.checkpoints}" in chtexp("clean", "--checkpoints", "--yes").stdout
    assert not folder.checkpoints.exists()
    assert folder.result.exists()


@pytest.mark.timing
def test_ten_thousand_runs_are_listed_and_tabulated_in_seconds(tmp_path: Path, monkeypatch, capsys) -> None:
    """Bar: 3 seconds each, beyond the start of Python."""
    from chtexp.cli import main
    from chtexp.config.compose import compose_run

    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    run = compose_run(["data=mnist", "method=set", f"paths.runs={tmp_path}/runs"])
    for number in range(10_000):
        others = {"others": number // 100} if number >= 100 else {}
        made = result(number % 100, science={**run.science, **others}, method=run.method.name, pairs=70, parameters=100)
        folder = RunFolder.of(run.paths.runs, (made["data"], "set", "paper"), made["id"], made["seed"])
        folder.path.mkdir(parents=True)
        folder.finish(made)
        folder = folder.path
        (folder / "config.yaml").write_text("x: 1\n")
    before = time.perf_counter()
    for path in (tmp_path / "runs").glob("*/seed-*/result.json"):
        json.loads(path.read_bytes())
    seconds, plain = {}, time.perf_counter() - before
    for command in (["status", "--json"], ["status"], ["table", "table7", "--format", "json"]):
        before = time.perf_counter()
        with pytest.raises(SystemExit) as ended:
            main(command)
        seconds[" ".join(command)] = time.perf_counter() - before
        assert not ended.value.code
        said = capsys.readouterr().out
        if "--json" in command:
            assert len(json.loads(said)) == 10_000
        if command[0] == "table":
            assert max(row["n"] for row in json.loads(said)["rows"]) == 100
    print(plain, seconds)
    assert max(seconds.values()) < 10 * plain, (plain, seconds)  # of what it takes to read the files as JSON


ADDS = """
import sys
from pathlib import Path
from chtexp.store.collection import add_to_collection
from sample_results import found, science
path, name = Path(sys.argv[1]), sys.argv[2]
for seed in range(int(sys.argv[3])):
    made = found(seed, of=science(method=name))
    add_to_collection(path, {"mine": {made.key: made}})
    print(seed, flush=True)
"""


def adding(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ADDS, str(path), name, str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_that_add_to_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    processes = [adding(path, name, 60) for name in "abc"]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert set(read_collection(path)) == {(run_id(science(name)), seed) for name in "abc" for seed in range(60)}


def test_a_file_is_whole_whenever_who_adds_to_it_is_killed(tmp_path: Path) -> None:
    path, chance = tmp_path / "all.jsonl", random.Random(0)
    acknowledged: set[tuple[str, int]] = set()
    for number in range(8):
        process = adding(path, str(number), 100_000)
        assert process.stdout
        for seed in range(chance.randrange(5, 30)):
            assert process.stdout.readline() == f"{seed}\n"
            acknowledged.add((run_id(science(str(number))), seed))
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert acknowledged <= read_collection(path).keys()


def test_what_a_file_holds_comes_first_and_is_written_only_when_it_changes(tmp_path: Path) -> None:
    path, said = tmp_path / "deep" / "all.jsonl", []
    one = {(ID, 0): found(0)}
    assert add_to_collection(path, {"mine": one}) == one
    before = path.stat().st_mtime_ns, path.stat().st_ino
    other = {(ID, 0): found(0, last=96.0, metrics={})}
    with pytest.raises(UserError, match=r"last 97\.5 and 96\.0"):
        add_to_collection(path, {"mine": other})
    assert add_to_collection(path, {"mine": other}, said.append) == one
    assert len(said) == 1
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".all.jsonl.lock", "all.jsonl"]
