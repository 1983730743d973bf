"""Sweeps by worker processes: every run ends as it would alone, whatever happens to the processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_results import result_of

from chtexp.config.compose import compose_run, compose_sweep
from chtexp.config.run import Run, describe_run
from chtexp.errors import UserError
from chtexp.launch.conduct import conduct, places
from chtexp.launch.failures import Failures
from chtexp.launch.pool import Place, Pool
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.store import condition

SMALL = ["data=digits", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160", "method.sparsity=0.8"]
CLOCK = ("seconds", "environment", "command")


def run(folder: Path, *overrides: str) -> Run:
    return compose_run([*SMALL, f"paths.runs={folder}", *overrides])


def sweep_of(folder: Path, runs: list[Run], *settings: str) -> SweepFolder:
    return SweepFolder.create(
        folder,
        compose_sweep(settings).model_dump(mode="json"),
        [SweepTask.of(run, f"chtexp train seed={run.seed}") for run in runs],
    )


def timeless(result: dict | None) -> dict:
    assert result is not None
    return {key: value for key, value in result.items() if key not in CLOCK}


def states(runs: list[Run]) -> list[str]:
    return [condition(run.folder).state for run in runs]


def test_a_frozen_run_is_the_run(tmp_path: Path) -> None:
    for overrides in (
        ["method=chtss_n"],
        ["method=mest_ems"],
        ["method=cht", "method/topology=csti_brf"],
        ["method=gmp"],
    ):
        asked = run(tmp_path, *overrides)
        task = SweepTask.of(asked, "command")
        frozen = describe_run(json.loads(json.dumps(task.config)))
        assert (frozen.id, frozen.seed) == (asked.id, asked.seed)
        assert frozen.folder.path == Path(task.folder) == asked.folder.path.resolve()


@pytest.mark.parametrize("launcher", [["launcher=serial"], ["launcher.workers=1"], ["launcher.workers=2"]], ids=str)
def test_every_launcher_makes_the_same_results(launcher: list[str], tmp_path: Path) -> None:
    runs = [run(tmp_path / "runs", "method=chts_n", f"seed={seed}") for seed in range(3)]
    said: list[str] = []
    conduct(sweep_of(tmp_path / "runs", runs, *launcher), said.append)
    assert states(runs) == ["done"] * 3
    alone = run(tmp_path / "alone", "method=chts_n", "seed=2", "hardware.threads=1")
    from chtexp.run.execute import execute

    execute(alone, "alone")
    assert timeless(runs[2].folder.read_result()) == timeless(alone.folder.read_result())


def test_cores_and_gpus_are_handed_out_exclusively(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"seed={seed}", "hardware.device=cuda") for seed in range(9)]
    tasks = [SweepTask.of(run, "") for run in runs]
    folder = SweepFolder(tmp_path)

    def handed_out(*settings: str) -> list[tuple[int, str | None]]:
        found = places(compose_sweep(settings).launcher, tasks, folder)
        assert len({place.log for place in found}) == len(found)
        return [(place.threads, place.gpus) for place in found]

    cores = len(os.sched_getaffinity(0))
    assert [gpus for _, gpus in handed_out("launcher.gpus=[0,1,2]")] == ["0", "1", "2"]
    assert [gpus for _, gpus in handed_out("launcher.gpus=[a,b,c]", "launcher.workers=2")] == ["a,c", "b"]
    assert len(handed_out("launcher.gpus=[0,1]", "launcher.workers=5")) == 2
    assert handed_out("launcher=slurm", "launcher.cpus=8", "launcher.parallel=4") == [(2, None)] * 4
    tasks = [SweepTask.of(run(tmp_path, "hardware.device=cuda", "hardware.processes=4"), "")] * 9
    assert [gpus for _, gpus in handed_out("launcher.gpus=[0,1,2,3,4,5,6,7]")] == ["0,2,4,6", "1,3,5,7"]
    with pytest.raises(UserError, match=r"hardware\.processes=4 needs a GPU for each, and there are 3"):
        handed_out("launcher.gpus=[0,1,2]")
    tasks = [SweepTask.of(run(tmp_path, "hardware.processes=2"), "")] * 9
    assert handed_out("launcher=slurm", "launcher.cpus=8", "launcher.parallel=2") == [(4, None)] * 2
    tasks = [SweepTask.of(run(tmp_path, f"seed={seed}"), "") for seed in range(9)]
    assert handed_out("launcher.workers=3", "launcher.threads=2") == [(2, None)] * 3
    assert sum(threads for threads, _ in handed_out()) == cores
    tasks = tasks[:1]
    assert handed_out() == [(cores, None)]


def test_a_run_that_fails_or_kills_its_worker_harms_no_other(tmp_path: Path) -> None:
    fine = [run(tmp_path, f"seed={seed}") for seed in (0, 1)]
    fails = run(tmp_path, "seed=2", "task.learning_rate.start=1e12")
    long = run(tmp_path, "seed=3", "task.epochs=100000", "checkpoint.seconds=0.2")
    runs = [long, fails, *fine]
    said: list[str] = []
    killer = threading.Thread(target=_kill_when_running, args=(long, signal.SIGKILL))
    killer.start()
    conduct(sweep_of(tmp_path, runs, "launcher.workers=2"), said.append)
    killer.join()
    assert states(runs) == ["failed", "failed", "done", "done"]
    assert condition(long.folder).reason == "its process was killed (SIGKILL)"
    assert "Diverged" in condition(fails.folder).reason
    assert any("[1/4] digits CHTs_n seed 3: failed (its process was killed (SIGKILL))" in line for line in said)


def _kill_when_running(victim: Run, number: int) -> None:
    while not victim.folder.checkpoints.exists():
        time.sleep(0.05)
    start = victim.folder.last_start()
    assert start is not None
    assert start.process is not None
    os.kill(start.process.pid, number)


def test_overwrite_means_once_a_sweep_not_once_a_start(tmp_path: Path) -> None:
    from chtexp.run.execute import execute

    first = run(tmp_path)
    execute(first, "first")
    again = run(tmp_path, "overwrite=true")
    task = SweepTask.of(again, "again")
    assert task.run().overwrite
    execute(task.run(), "again")
    assert first.folder.read_result()["command"] == "again"
    assert not task.run().overwrite  # a second start of the same sweep goes on with what the first one did
    assert SweepTask.of(again, "once more").run().overwrite


def test_too_many_failures_stop_a_sweep(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"seed={seed}", "task.learning_rate.start=1e12") for seed in range(5)]
    said: list[str] = []
    conduct(sweep_of(tmp_path, runs, "launcher.workers=1", "max_failures=2"), said.append)
    assert states(runs) == ["failed", "failed", "missing", "missing", "missing"]
    assert said[-1] == "3 runs were not started"
    conduct(sweep_of(tmp_path / "serial", runs[2:], "launcher=serial", "max_failures=1"), said.append)
    assert states(runs)[2:] == ["failed", "missing", "missing"]


def test_the_jobs_of_a_sweep_stop_for_the_failures_of_all(tmp_path: Path) -> None:
    """As two jobs of a cluster, which know of each other by the runs' folders alone."""
    runs = [run(tmp_path, f"seed={seed}", "task.learning_rate.start=1e12") for seed in range(4)]
    tasks = [SweepTask.of(run, "") for run in runs]
    said: list[str] = []
    for number, share in enumerate((tasks[:1], tasks[1:])):
        place = Place(f"{number}", 1, None, tmp_path / f"{number}.log")
        Pool([place], Failures(tasks, 2), said.append).run(share)
    assert states(runs) == ["failed", "failed", "missing", "missing"]
    assert said[-1] == "2 runs were not started"


def test_sweeps_that_begin_at_the_same_time_by_the_clock_have_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    """The clock went back, or another machine's process has the same number."""
    monkeypatch.setattr(time, "strftime", lambda form: "2025-01-31_12-00-00")
    sweeps = [sweep_of(tmp_path, [run(tmp_path, f"seed={seed}")]) for seed in range(3)]
    assert [len(sweep.path.name) for sweep in sweeps] == [
        len(f"2025-01-31_12-00-00-{os.getpid()}") + n for n in (0, 2, 2)
    ]
    assert [sweep.read()[1][0].config["seed"] for sweep in sweeps] == [0, 1, 2]


def test_failures_are_counted_off_the_folders(tmp_path: Path) -> None:
    def task(seed: int) -> SweepTask:
        return SweepTask.of(run(tmp_path, f"seed={seed}"), "")

    def start(of: SweepTask, state: str) -> None:
        with of.run_folder.claimed() as signs:
            signs.start.end(state, reason="", step=0)

    start(task(0), "failed")  # before the sweep: none of its own failures
    tasks = [task(seed) for seed in range(5)]
    never, one, two = (Failures(tasks, allowed) for allowed in (None, 1, 2))
    start(tasks[1], "preempted")
    start(tasks[2], "failed")
    start(tasks[2], "timed-out")  # and goes on in the next job
    assert not one.too_many()
    start(tasks[0], "failed")
    assert one.too_many()
    assert not two.too_many()
    with tasks[3].run_folder.claimed():
        assert not two.too_many()
    assert two.too_many()  # it ended without saying how
    assert not never.too_many()
    tasks[3].run_folder.finish(result_of(tasks[3].run()))
    assert not two.too_many()
    two.traceless += 1
    assert two.too_many()


@pytest.mark.parametrize("launcher", ["launcher=serial", "launcher.workers=1"])
def test_a_mistake_that_leaves_no_trace_is_a_failure_too(launcher: str, tmp_path: Path) -> None:
    runs = [run(tmp_path / "runs", f"seed={seed}", "hardware.threads=1") for seed in range(3)]
    sweep = sweep_of(tmp_path, runs, launcher, "max_failures=2")
    (tmp_path / "runs").write_text("a file where folders should be made")
    said: list[str] = []
    conduct(sweep, said.append)
    assert sum("cannot be written" in line for line in said) == 2
    assert said[-1] == "1 runs were not started"


def test_a_worker_that_cannot_even_start_is_a_failure(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    said: list[str] = []
    tasks = [SweepTask.of(run(tmp_path, f"seed={seed}"), "") for seed in range(3)]
    failures = Failures(tasks, 2)
    Pool([Place("0", 1, None, tmp_path / "log")], failures, said.append).run(tasks)
    assert failures.traceless == 2
    assert "not begun; its worker ended with 1" in said[-2]
    assert said[-1] == "1 runs were not started"


# ---------------------------------------------------------------------- the whole command, disturbed

CELLS = ["quickstart", "budget=smoke", "model.hidden=[40,40,40]", "task.epochs=60"]


def start_sweep(folder: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CHTEXP_RUNS": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "chtexp", "sweep", *CELLS, *more],
        env=environment, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def results(folder: Path) -> dict[str, dict]:
    return {
        str(path.relative_to(folder)): timeless(json.loads(path.read_text()))
        for path in folder.glob("*/seed-*/result.json")
    }


def lines(folder: Path) -> dict[str, list]:
    found = {}
    for path in folder.glob("*/seed-*/metrics.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        found[str(path.relative_to(folder))] = [
            {k: v for k, v in record.items() if k != "seconds"} for record in records
        ]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_asked_to_stop_saves_its_runs(number: signal.Signals, tmp_path: Path) -> None:
    sweep = start_sweep(
        tmp_path / "runs", "method=set,chts_n", "seed=0", "task.epochs=100000", "checkpoint.seconds=1000"
    )
    while len(list(tmp_path.glob("runs/*/seed-*/metrics.jsonl"))) < 2:
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.1)
    sweep.send_signal(number)
    said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 128 + number
    assert "the same command goes on from where it stopped" in said
    assert f"{number.name}: the runs save themselves and stop" in said
    assert said.count("preempted: ") == 2
    assert len(list(tmp_path.glob("runs/*/seed-*/checkpoints/*.pt"))) == 2


@pytest.mark.slow
def test_two_sweeps_at_once_never_do_a_run_twice(tmp_path: Path) -> None:
    chosen = ["method=set,rigl,gmp", "seed=0,1"]
    sweeps = [start_sweep(tmp_path / "runs", *chosen) for _ in range(2)]
    for sweep in sweeps:
        sweep.communicate(timeout=200)
    assert len(results(tmp_path / "runs")) == 6
    for folder in tmp_path.glob("runs/*/seed-*"):
        endings = [json.loads(path.read_text())["state"] for path in sorted(folder.glob("starts/*.end.json"))]
        assert endings.count("done") >= 1
        trained = (folder / "log.txt").read_text()
        assert trained.count("training ") == 1
        assert "resuming" not in trained


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_random_kills_change_nothing(tmp_path: Path) -> None:
    """SIGKILL and SIGTERM, at random times, at workers and at the sweep itself; 20 runs."""
    chosen = ["method=set,chts_n,rigl,granet,chtss_n", "seed=0,1,2,3", "checkpoint.seconds=0.3"]
    whole = start_sweep(tmp_path / "whole", *chosen)
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    wanted = results(tmp_path / "whole")
    assert len(wanted) == 20
    chance, disturbed = random.Random(0), tmp_path / "disturbed"
    kills = {"workers": 0, "sweep": 0}
    sweep = start_sweep(disturbed, *chosen)
    while sum(kills.values()) < 50:
        time.sleep(chance.uniform(0.2, 3.0))
        if sweep.poll() is not None:
            sweep.communicate()
            if len(results(disturbed)) == 20:  # too fast for fifty: some begin anew
                for path in chance.sample(sorted(disturbed.glob("*/seed-*/result.json")), 8):
                    path.unlink()
                    for checkpoint in path.parent.glob("checkpoints/*.pt"):
                        checkpoint.unlink()
            sweep = start_sweep(disturbed, *chosen)
            continue
        children = _children(sweep.pid)
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        if children and chance.random() < 0.8:
            kills["workers"] += _killed(chance.choice(children), number)
        elif children or chance.random() < 0.1:  # seldom before it has workers
            kills["sweep"] += _killed(sweep.pid, number)
    sweep.communicate(timeout=300)
    for _ in range(
        5
    ):  # a stopped sweep's workers may still be saving: their runs are at work elsewhere, and left alone
        sweep = start_sweep(disturbed, *chosen)
        said, _ = sweep.communicate(timeout=300)
        if sweep.returncode == 0 and len(results(disturbed)) == len(wanted):
            break
    assert sweep.returncode == 0, said
    assert min(kills.values()) >= 5
    assert results(disturbed) == wanted
    assert lines(disturbed) == lines(tmp_path / "whole")


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
        except OSError:
            pass
    return sorted(found)


def _killed(pid: int, number: int) -> int:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return 0
    return 1


def test_a_sweep_leaves_the_runs_of_another_that_is_at_work_to_it(tmp_path: Path) -> None:
    runs = [run(tmp_path / "runs", f"seed={seed}") for seed in range(3)]
    one, other = sweep_of(tmp_path / "runs", runs[:2]), sweep_of(tmp_path / "runs", runs[1:])
    with one.conducted(one.read()[1]):
        assert one.is_begun()
        assert states(runs) == ["pending", "pending", "missing"]
        with other.conducted(other.read()[1]):
            assert states(runs) == ["pending"] * 3
        assert states(runs) == ["pending", "pending", "missing"]
    assert states(runs) == ["missing"] * 3


@pytest.mark.slow
def test_a_detached_sweep_goes_on_alone(chtexp_process: Callable, tmp_path: Path) -> None:
    said = chtexp_process("sweep", *CELLS, "method=set,fc", "seed=0", "--detach").stdout
    assert "chtexp status" in said
    end = time.monotonic() + 120
    while len(results(tmp_path / "runs")) < 2:
        assert time.monotonic() < end, "".join(path.read_text() for path in tmp_path.glob("runs/.sweeps/*/*.log"))
        time.sleep(0.2)
    (log,) = tmp_path.glob("runs/.sweeps/*/sweep.log")
    assert "done" in log.read_text()
