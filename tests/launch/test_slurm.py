"""Real submissions to a real Slurm (scripts/local_slurm.sh starts one): nothing is lost, and nothing is said that is not so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import plugin_files
import pytest

from chtexp.config.compose import compose_run
from chtexp.config.launcher import Slurm
from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.launch.slurm import submit
from chtexp.launch.slurm_queue import _states, queue_of
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.store import Condition, Said, condition

SMALL = ["data=digits", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160", "method.sparsity=0.8"]
ONE_CORE = ["launcher=slurm", "launcher.cpus=1", "launcher.memory=null", "launcher.time=5"]
CLOCK = ("seconds", "environment", "command")
LONG = ["task.epochs=30000", "checkpoint.seconds=1"]  # a quarter of a minute or more


def test_what_slurm_prints_is_understood() -> None:
    text = "12_3|PENDING|Resources\n12_4|CANCELLED by 0\n13|OUT_OF_MEMORY|None\nslurm: error\n12_[5-9]|PENDING|None\n"
    assert _states(text) == {
        "12_3": Said("PENDING", "Resources"),
        "12_4": Said("CANCELLED"),
        "13": Said("OUT_OF_MEMORY"),
    }


@pytest.fixture
def slurm() -> None:
    """A Slurm that takes jobs; CHTEXP_REQUIRE_SLURM=1 makes its absence an error."""
    answers = shutil.which("sinfo") and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0
    if not answers:
        reason = "no Slurm answers here; scripts/local_slurm.sh starts one (Debian, root)"
        if os.environ.get("CHTEXP_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)


pytestmark = [pytest.mark.slow, pytest.mark.timing, pytest.mark.timeout(900)]  # Slurm gives out all cores, by the clock


def run(folder: Path, *overrides: str) -> Run:
    return compose_run([*SMALL, f"paths.runs={folder}", *overrides])


def submitted(folder: Path, runs: list[Run], max_failures: int | None = None, **settings: object) -> list[str]:
    tasks = [SweepTask.of(run, f"chtexp train seed={run.seed}") for run in runs]
    launcher = Slurm(**{"cpus": 1, "memory": None, "time": 5, **settings})
    values = {"launcher": launcher.model_dump(mode="json"), "max_failures": max_failures}
    return submit(SweepFolder.create(folder, values, tasks), launcher, tasks)


def found(run: Run) -> Condition:
    return condition(run.folder, queue_of([run.folder]))


def wait_for(run: Run, *states: str, seconds: float = 200) -> Condition:
    end = time.monotonic() + seconds
    while (now := found(run)).state not in states:
        assert time.monotonic() < end, (now, run.folder.log_tail(9), subprocess.getoutput("squeue --states=all"))
        time.sleep(0.2)
    return now


def timeless(run: Run) -> dict:
    result = run.folder.read_result()
    assert result is not None
    return {key: value for key, value in result.items() if key not in CLOCK}


def alone(tmp_path: Path, *overrides: str) -> dict:
    from chtexp.run.execute import execute

    undisturbed = run(tmp_path / "alone", "hardware.threads=1", *overrides)
    execute(undisturbed, "alone")
    return timeless(undisturbed)


def process_of(run: Run) -> int:
    while not (run.folder.checkpoints.exists() and any(run.folder.checkpoints.glob("*.pt"))):
        time.sleep(0.1)
    start = run.folder.last_start()
    assert start is not None
    assert start.process is not None
    return start.process.pid


@pytest.mark.usefixtures("slurm")
def test_an_array_of_twelve_runs_by_the_command_line(chtexp_process: Callable, tmp_path: Path) -> None:
    cells = ["quickstart", "budget=smoke", "method=set,chts_n,rigl,gmp", "seed=0,1,2", "model.hidden=[40,40,40]"]
    said = chtexp_process("sweep", *cells, *ONE_CORE, "launcher.runs_per_job=3").stdout
    assert "submitted 12 runs in 4 jobs" in said
    assert "12 of 12 runs done" in said
    lines = json.loads(chtexp_process("status", "--json").stdout)
    assert [line["state"] for line in lines] == ["done"] * 12
    assert "12 done, 0 to start" in chtexp_process("sweep", *cells, *ONE_CORE).stdout


@pytest.mark.usefixtures("slurm")
def test_failures_of_every_kind_are_told_apart(tmp_path: Path) -> None:
    raises = run(tmp_path, "seed=0", "task.learning_rate.start=1e12")
    killed = run(tmp_path, "seed=1", *LONG)
    job_killed = run(tmp_path, "seed=2", *LONG)
    fine = run(tmp_path, "seed=3")
    submitted(tmp_path, [raises, killed, job_killed, fine])
    os.kill(process_of(killed), signal.SIGKILL)
    pool = int(Path(f"/proc/{process_of(job_killed)}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pool, signal.SIGKILL)
    assert "Diverged" in wait_for(raises, "failed").reason
    assert wait_for(killed, "failed").reason == "its process was killed (SIGKILL)"
    assert "SIGTERM" in wait_for(job_killed, "preempted").reason  # it outlived its leader by a checkpoint
    assert wait_for(fine, "done").state == "done"
    assert any("Diverged" in line for line in raises.folder.log_tail(5))


@pytest.mark.usefixtures("slurm")
def test_the_failures_of_all_jobs_together_stop_a_sweep(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"seed={seed}", "task.learning_rate.start=1e12") for seed in range(5)]
    submitted(tmp_path, runs, max_failures=2, jobs_at_once=1)
    now = [wait_for(each, "failed", "missing") for each in runs]
    assert [each.state for each in now] == ["failed"] * 2 + ["missing"] * 3
    assert [each.folder.starts for each in runs] == [1, 1, 0, 0, 0]
    printed = [path.read_text() for path in tmp_path.glob(".sweeps/*/slurm/*.out")]
    assert sum("1 runs were not started" in text for text in printed) == 3


@pytest.mark.usefixtures("slurm")
def test_a_run_past_its_limit_is_queued_again_to_its_end(tmp_path: Path) -> None:
    long = ["task.epochs=80000", "checkpoint.seconds=1000", "seed=5"]
    wanted = alone(tmp_path, *long)
    over = run(tmp_path, *long)
    submitted(tmp_path, [over], time=1, signal_seconds=40)
    wait_for(over, "done", seconds=800)
    end = time.monotonic() + 30  # its last words come after its result
    while len(list(over.folder.path.glob("starts/*.end.json"))) < over.folder.starts:
        assert time.monotonic() < end
        time.sleep(0.1)
    endings = [json.loads(path.read_text()) for path in sorted(over.folder.path.glob("starts/*.end.json"))]
    assert [ending["state"] for ending in endings] == ["timed-out"] * (len(endings) - 1) + ["done"]
    assert len(endings) >= 2, "it was not long enough to be over its limit"
    assert timeless(over) == wanted


@pytest.mark.usefixtures("slurm")
def test_cancelled_in_the_middle_and_swept_again(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"seed={seed}", *LONG) for seed in range(3)]
    jobs = submitted(tmp_path, runs)
    process_of(runs[0])
    subprocess.run(["scancel", jobs[0].partition("_")[0]], check=True)
    for each in runs:
        assert wait_for(each, "preempted", "failed", "missing").state in ("preempted", "missing")
    assert "SIGTERM" in found(runs[0]).reason
    submitted(tmp_path, runs)
    for each in runs:
        wait_for(each, "done", seconds=400)
    assert timeless(runs[0]) == alone(tmp_path, "seed=0", *LONG)


@pytest.mark.usefixtures("slurm")
def test_what_is_edited_after_the_submission_changes_nothing(tmp_path: Path) -> None:
    """A copy of the project submits; its code is broken before the job can begin."""
    root = Path(__file__).parents[2]
    for part in ("chtexp", "conf"):
        shutil.copytree(root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "CHTEXP_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(tmp_path)}
    cells = ["quickstart", "budget=smoke", "method=set", "seed=0", "model.hidden=[40]", "method.sparsity=0.8"]
    held = "+launcher.sbatch.begin=now+10"
    done = subprocess.run(
        [sys.executable, "-m", "chtexp", "sweep", *cells, *ONE_CORE, held, "--detach"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "chtexp" / "train" / "loop.py").write_text("raise SystemExit('edited')")
    (tmp_path / "conf" / "data" / "digits.yaml").write_text("broken")
    (record,) = tmp_path.glob("runs/*/seed-0/submitted.json")
    end = time.monotonic() + 120
    while not (record.parent / "result.json").exists():
        assert time.monotonic() < end, "".join(p.read_text() for p in tmp_path.glob("runs/.sweeps/*/slurm/*.out"))
        time.sleep(0.3)


@pytest.mark.usefixtures("slurm")
def test_processes_on_two_nodes_train_one_run(tmp_path: Path) -> None:
    """Stopped by scancel in the middle and swept again; the result is that of the same processes on one node."""
    nodes = subprocess.run(["sinfo", "--noheader", "--Node"], capture_output=True, text=True, check=True).stdout
    if len(nodes.splitlines()) < 2:
        pytest.skip("this Slurm has one node only")
    long = ["seed=1", "task.epochs=3000", "checkpoint.seconds=1", "hardware.threads=1"]
    over = run(tmp_path, *long, "hardware.nodes=2")
    (job,) = submitted(tmp_path, [over])
    process_of(over)
    nodes = subprocess.run(
        ["squeue", "--noheader", "--format=%D", f"--job={job}"], capture_output=True, text=True, check=True
    )
    assert nodes.stdout.strip() == "2"
    subprocess.run(["scancel", job.partition("_")[0]], check=True)
    assert "SIGTERM" in wait_for(over, "preempted").reason
    submitted(tmp_path, [over])
    wait_for(over, "done", seconds=400)
    assert over.folder.read_result()["environment"]["processes"] == 2
    here = run(tmp_path / "here", *long, "hardware.processes=2")
    from chtexp.run.execute import execute

    execute(here, "here")
    assert timeless(over) == timeless(here)
    with pytest.raises(UserError, match="jobs of one size"):
        submitted(tmp_path / "mixed", [run(tmp_path, "seed=7"), run(tmp_path, "seed=8", "hardware.nodes=2")])


def test_a_job_has_the_plug_in_as_it_was_submitted(slurm: None, tmp_path: Path) -> None:
    file = plugin_files.write(tmp_path)
    with plugin_files.nothing_left():
        mine = compose_run(
            [*SMALL, "method=busy", f"plugins=[{file}]", f"paths.runs={tmp_path}/runs"], tmp_path / "conf"
        )
        submitted(tmp_path / "runs", [mine])
    file.write_text("raise SystemExit('edited while the job was waiting')\n")
    assert wait_for(mine, "done", "failed").state == "done", mine.folder.log_tail(9)
    assert "own_rules" in mine.folder.finished().science.plugins
