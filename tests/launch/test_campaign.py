"""Campaigns as a person runs them: what is missing, in order of worth, whatever happens to their processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_results import found, result_of, science

from chtexp.config.compose import compose_run
from chtexp.launch.campaign import Campaign, collection_of, read_campaign
from chtexp.launch.carrier import Carrier, Deadline, Wanted
from chtexp.launch.pace import LINKS_A_SECOND, MATRICES_A_SECOND, Pace, in_words
from chtexp.paper.plan import plan_runs
from chtexp.store import Result, RunFolder, condition
from chtexp.store.collection import read_collection, write_collection

SMALL = "quickstart budget=smoke model.hidden=[40,40,40] budget.train_limit=160"
LONG = f"{SMALL} task.epochs=2000"  # 60 epochs: seconds
ENDLESS = f"{SMALL} task.epochs=10000000 checkpoint.seconds=1000"
CLOCK = ("seconds", "environment", "command")


def written(folder: Path, *ranks: str, **more: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "weekend.yaml"
    path.write_text(json.dumps({"ranks": ranks, **more}))  # which is YAML, too
    return path


def begun(file: Path, *more: str, runs: str = "runs") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chtexp", "campaign", str(file), *more],
        env={**os.environ, "CHTEXP_RUNS": str(file.parent / runs)}, cwd=file.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def carried_out(file: Path, *more: str, code: int = 0, runs: str = "runs") -> tuple[list[str], str]:
    """Its lines, and its errors."""
    process = begun(file, *more, runs=runs)
    said, errors = process.communicate(timeout=280)
    assert process.returncode == code, said + errors
    first, *others = said.splitlines()
    assert first.endswith(f"; results go to {file.with_suffix('.jsonl')}")
    ends = [line for line in others if not (line.endswith(": begins") or ": goes on from its checkpoint" in line)]
    assert len(others) == 2 * (len(ends) - 1) + 1  # every run that ends has begun, and a last line
    return ends, errors


def collected(file: Path) -> dict[tuple[str, int], dict]:
    """By method and seed, without what differs from machine to machine."""
    found = read_collection(file.with_suffix(".jsonl")).values()
    return {
        (one.method, one.seed): {key: value for key, value in one.said.items() if key not in CLOCK} for one in found
    }


def trained(folder: Path) -> list[RunFolder]:
    return RunFolder.every(folder)


def wait_for(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not what():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_what_is_missing_is_carried_out_in_order_and_what_is_collected_is_done_anywhere(tmp_path: Path) -> None:
    file = written(tmp_path / "here", f"{SMALL} row=CHT seed=1,0", f"{SMALL} row=FC,SET,CHT seed=0")
    said, errors = carried_out(file)
    assert errors == ""
    order = [line.partition(":")[0] for line in said]
    assert order[:4] == [
        "rank 1, quickstart, CHT, digits, seed 0",
        "rank 1, quickstart, CHT, digits, seed 1",
        "rank 2, quickstart, SET, digits, seed 0",  # cheaper than FC, which the table has first
        "rank 2, quickstart, FC, digits, seed 0",
    ]
    assert ": done (accuracy " in said[0]
    assert "; 1/4 done, about " in said[0]
    assert said[4:] == [f"4 of 4 runs done: {file.with_suffix('.jsonl')}"]
    made = collected(file)
    assert set(made) == {("CHT", 0), ("CHT", 1), ("SET", 0), ("FC", 0)}
    for one in read_collection(file.with_suffix(".jsonl")).values():
        assert one.environment.threads == 1
        assert one.environment.beside is not None
        assert one.environment.beside.niceness == 19
        assert one.command.startswith("chtexp train data=digits method=")
        assert one.environment.commit or one.environment.chtexp
        assert one.environment.host

    elsewhere = written(tmp_path / "elsewhere", f"{SMALL} row=CHT seed=0,1,2", f"{SMALL} row=FC,SET,CHT seed=0")
    kept = {key: one for key, one in read_collection(file.with_suffix(".jsonl")).items() if one.method != "SET"}
    write_collection(elsewhere.with_suffix(".jsonl"), kept)
    said, _ = carried_out(elsewhere)
    assert [line.partition(":")[0] for line in said[:-1]] == [
        "rank 1, quickstart, CHT, digits, seed 2",
        "rank 2, quickstart, SET, digits, seed 0",
    ]
    assert {key: collected(elsewhere)[key] for key in made} == made
    assert len(trained(elsewhere.parent / "runs")) == 2

    elsewhere.with_suffix(".jsonl").unlink()
    said, _ = carried_out(
        elsewhere, "seed=0", code=0
    )  # what is done in the folder of runs is collected, and not done again
    assert [line for line in said if "SET" in line] == []
    assert ("SET", 0) in collected(elsewhere)


def test_a_run_that_fails_is_tried_once_and_keeps_no_other_from_its_turn(tmp_path: Path) -> None:
    file = written(tmp_path, f"{SMALL} row=SET seed=0 task.learning_rate.start=1e12", f"{SMALL} row=SET seed=0")
    for starts in (1, 2):  # once a campaign
        said, errors = carried_out(file, code=1)
        assert "failed (Diverged" in said[0]
        assert said[-1].startswith("1 of 2 runs done: ")
        assert errors.startswith("failed: rank 1, quickstart, SET, digits, seed 0: Diverged: ")
        assert errors.count("\n") == 1
        states = {condition(folder).state: folder.starts for folder in trained(tmp_path / "runs")}
        assert states == {"failed": starts, "done": 1}
    assert len(collected(file)) == 1


def test_a_dry_run_lists_what_is_missing_by_rank_and_starts_nothing(chtexp, tmp_path: Path) -> None:
    file = written(tmp_path, f"{SMALL} row=CHT,SET seed=0,1", "table7 data=mnist row=FC", collected="results/all.jsonl")
    name, *words = SMALL.split()
    (planned,) = plan_runs(name, [*words, "row=SET", "seed=1"], None)
    identity = planned.run.id
    done = Result.of(result_of(planned.run, flops={"dense": 1e9, "sparse": 1e8}))
    write_collection(tmp_path / "results/all.jsonl", {done.key: done})
    said = chtexp("campaign", str(file), "--dry-run").stdout
    heads = [line for line in said.splitlines() if line.startswith("rank ")]
    assert heads[0].startswith(f"rank 1: {SMALL} row=CHT,SET seed=0,1: 1 of 4 runs done, about ")
    assert heads[1].startswith("rank 2: table7 data=mnist row=FC: 0 of 3 runs done, about ")
    cells = {tuple(line.split()[:2]): line.split()[2:] for line in said.splitlines() if "digits" in line}
    assert cells["SET", "digits"][:5] == [identity, "seed", "1", "seed", "0"]  # done, missing
    assert cells["CHT", "digits"][1:6] == ["–", "seed", "0,", "seed", "1"]
    assert "1 of 7 runs done" in said.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["all.jsonl"]


MISTAKES = {
    "ranks: [tabel7 data=mnist]": "rank 1 (tabel7 data=mnist): unknown table 'tabel7' (did you mean 'table7'?)",
    "ranks: [table7 data=mnist, table7 data=mnits]": "rank 2 (table7 data=mnits): unknown data of this table 'mnits' (did",
    "ranks: [table7 row=CHTsn]": "unknown row of this table 'CHTsn' (did you mean 'CHTs_n'?)",
    "ranks: [table7 buget=cpu]": "unknown key or axis 'buget' (did you mean 'budget'?)",
    "ranks: [table7 task.epocs=3]": "unknown key or axis 'task.epocs' (did you mean 'task.epochs'?)",
    "ranks: [table7 mnist]": "cannot read 'mnist': an override is key=value",
    "ranks: [table7 seed=first]": "seed takes whole numbers from 0",
    "ranks: [table7 overwrite=true]": "takes no overwrite=true",
    "ranks: [{table7: mnist}]": "ranks.0: is what follows 'chtexp sweep', as one line",
    "ranks: ['']": "ranks.0",
    "ranks: ['table7 \"data=mnist']": "ranks.0: No closing quotation",
    "ranks: []": "ranks",
    "rank: [table7]": "unknown key 'rank' (did you mean 'ranks'?)",
    "ranks: [quickstart]\ncolected: a.jsonl": "(did you mean 'collected'?)",
    "ranks: [quickstart]\ncollected: a.json": "unknown suffix '.json'",
    "ranks: [": "is no YAML",
    "- quickstart": "must hold keys and values, not list",
}


@pytest.mark.parametrize("text", MISTAKES, ids=str)
def test_a_mistake_in_the_file_is_one_line_before_anything_starts(text: str, chtexp, tmp_path: Path) -> None:
    (tmp_path / "weekend.yaml").write_text(text)
    said = chtexp("campaign", "weekend.yaml", check=2)
    assert said.stdout == ""
    assert MISTAKES[text] in said.stderr
    assert said.stderr.startswith("chtexp: ")
    assert said.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["weekend.yaml"]


def test_other_mistakes(chtexp, tmp_path: Path) -> None:
    (tmp_path / "weekend.yaml").write_text("ranks: [quickstart]")
    assert "weekend.yml: No such file" in chtexp("campaign", "weekend.yml", check=2).stderr
    assert "'-1' is no number from 0 on" in chtexp("campaign", "weekend.yaml", "--hours=-1", check=2).stderr
    assert "did you mean '--hours'" in chtexp("campaign", "weekend.yaml", "--hour=1", check=2).stderr
    assert "did you mean 'campaign'" in chtexp("campain", "weekend.yaml", check=2).stderr
    assert "unknown key or axis 'buget'" in chtexp("campaign", "weekend.yaml", "buget=cpu", check=2).stderr
    (tmp_path / "weekend.jsonl").write_text("{")
    assert "cannot be read as a collection" in chtexp("campaign", "weekend.yaml", check=1).stderr
    assert not (tmp_path / "runs").exists()


def test_the_file_of_results_lies_beside_the_campaign() -> None:
    one = Campaign(ranks=("quickstart",))
    assert collection_of(one, Path("a/b.yaml")) == Path("a/b.jsonl")
    assert collection_of(Campaign(ranks=("quickstart",), collected="../c.parquet"), Path("a/b.yaml")) == Path(
        "a/../c.parquet"
    )
    assert one.ranks == (("quickstart",),)


def test_too_little_time_begins_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, f"{SMALL} row=SET seed=0")
    said, _ = carried_out(file, "--hours", "0")
    assert said == [f"0 of 1 runs done: {file.with_suffix('.jsonl')}; 1 to go: start the same campaign again"]
    assert not trained(tmp_path / "runs")


def test_a_deadline_is_near_when_less_than_a_minute_or_a_tenth_is_left(monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    long, short, never = Deadline(1), Deadline(0.01), Deadline(None)
    now = 100.0 + 3539
    assert (long.left(), long.is_near()) == (61, False)
    now += 2
    assert long.is_near()
    now = 100.0 + 32.3
    assert not short.is_near()
    now += 0.2
    assert short.is_near()
    assert (never.left(), never.is_near()) == (None, False)


def test_when_its_time_is_up_a_campaign_stops_with_a_checkpoint(tmp_path: Path) -> None:
    file = written(tmp_path, f"{ENDLESS} row=SET seed=0", f"{SMALL} row=CHT seed=0")
    seconds = 15.0
    while not list(tmp_path.glob("runs/*/seed-0/metrics.jsonl")):  # a busy machine takes long to begin
        began = time.monotonic()
        said, errors = carried_out(file, "--hours", str(seconds / 3600))
        assert time.monotonic() - began < seconds + 30
        seconds *= 2
    (folder,) = trained(tmp_path / "runs")  # and none was begun after it
    assert "timed-out (SIGUSR1: the time limit is near) at step " in said[0]
    assert said[0].endswith(", 0 s left")
    assert said[1].startswith("0 of 2 runs done")
    assert errors == ""
    assert condition(folder).state == "timed-out"
    assert len(list(folder.checkpoints.iterdir())) == 1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    file = written(tmp_path_factory.mktemp("undisturbed"), f"{LONG} row=CHTs_n,GMP seed=0")
    carried_out(file)
    return collected(file)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_campaign_goes_on_where_it_was_stopped_or_killed(number: signal.Signals, undisturbed, tmp_path: Path) -> None:
    file = written(tmp_path, f"{LONG} checkpoint.seconds=1000 row=CHTs_n,GMP seed=0")
    process = begun(file)
    wait_for(lambda: list(tmp_path.glob("runs/*/seed-0/metrics.jsonl")), process)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number
        assert "preempted" in said
        assert "the same command goes on from where it stopped" in errors
    (folder,) = trained(tmp_path / "runs")
    while not folder.last_start().is_over():
        time.sleep(0.1)
    assert condition(folder).state == "preempted"  # its worker saw its parent die
    assert len(list(folder.checkpoints.iterdir())) == 1
    carried_out(file)
    assert "resuming" in folder.log.read_text()
    assert collected(file) == undisturbed


@pytest.mark.slow
def test_two_campaigns_at_once_share_the_work_and_lose_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, f"{SMALL} row=CHT,SET,RigL seed=0,1")
    both = [begun(file), begun(file, "--workers", "2")]
    for process in both:
        said, errors = process.communicate(timeout=280)
        assert process.returncode == 0, said + errors
    assert len(collected(file)) == 6
    for folder in trained(tmp_path / "runs"):
        assert folder.log.read_text().count("training ") == 1

    file = written(tmp_path / "apart", f"{SMALL} row=CHT,SET seed=0,1", f"{SMALL} row=RigL seed=0")
    again = file.with_name("again.yaml")  # other ranks, and other folders of runs, but one file of results
    again.write_text(json.dumps({"ranks": [f"{SMALL} row=RigL seed=0,1"], "collected": "weekend.jsonl"}))
    both = [begun(file, runs="one"), begun(again, runs="other")]
    for process in both:
        said, errors = process.communicate(timeout=280)
        assert process.returncode == 0, said + errors
    assert len(collected(file)) == 6


def test_other_numbers_of_a_run_that_is_collected_do_not_replace_it(tmp_path: Path) -> None:
    run = compose_run(["data=digits", "method=set", f"paths.runs={tmp_path}/runs"])
    file, said = tmp_path / "all.jsonl", []
    carrier = Carrier(
        [Wanted(1, "quickstart", "SET", "digits", run, "")], file, Deadline(None), said.append, said.append
    )
    for value in (97.5, 97.5, 90.0):
        run.folder.finish(result_of(run, value))
        carrier._collect(condition(run.folder))
    (kept,) = read_collection(file).values()
    assert kept.reported == 97.5
    assert len(said) == 1
    assert "reported 97.5 and 90.0" in said[0]


def test_hours_are_told_from_what_is_done() -> None:
    from chtexp.cost.count import cost

    run, dense = (compose_run(["data=mnist", f"method={name}"]) for name in ("set", "fc"))
    estimate = cost(run)
    assert Pace([]).hours(run) == pytest.approx(
        min(estimate.sparse_flops / LINKS_A_SECOND, estimate.dense_flops / MATRICES_A_SECOND) / 3600
    )
    done = [
        found(0, of=science(name), seconds=seconds,
               flops={"sparse": estimate.sparse_flops / 10, "dense": 1.0})
        for name, seconds in (("SET", 360.0), ("CHT", 36.0))
    ]  # fmt: skip
    assert Pace(done).hours(run) == pytest.approx(1.0)  # ten times what its own method took
    other = compose_run(["data=mnist", "method=rigl"])
    assert Pace(done[1:]).hours(other) == pytest.approx(0.1 * cost(other).sparse_flops / estimate.sparse_flops)
    assert Pace(done).of_all([run, run]) == pytest.approx(2.0)
    assert dense.method.sparsity == 0
    assert Pace(done[:1]).hours(dense) == pytest.approx(cost(dense).dense_flops / MATRICES_A_SECOND / 3600)
    assert [in_words(hours) for hours in (0.0, 0.01, 0.5, 3.42)] == ["0 s", "36 s", "30 min", "3.4 h"]


def test_the_campaign_of_results_is_one() -> None:
    found = read_campaign(Path(__file__).parents[2] / "results" / "campaign.yaml")
    assert len(found.ranks) > 5
