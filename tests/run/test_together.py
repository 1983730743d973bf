"""Runs that several processes train together: killed, stopped, resumed, refused; one clear word in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chtexp.config.compose import compose_run
from chtexp.config.run import Checkpointing
from chtexp.errors import UserError
from chtexp.run.execute import execute
from chtexp.run.processes.launcher import TogetherFailed, _cause, _endpoint
from chtexp.run.processes.protocol import Ending, Exit

from .test_resume import Stopped, _stop_before_step

RUN = ["data=digits", "method=chts_n", "method.sparsity=0.8", "budget=smoke", "model.hidden=[40,40]", "hardware=ddp"]
CLOCK = ("seconds", "environment", "command")
LONG = ["task.epochs=2000", "checkpoint.seconds=0.5"]


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CHTEXP_RUNS": str(folder), "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, "-m", "chtexp", "train", *RUN, *more],
        env=environment, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ranks(parent: int) -> dict[int, int]:
    """Process numbers of the ranks below a process, by rank."""
    found = {}
    for pid in _below(parent):
        try:
            if "chtexp.run.processes.rank" in Path(f"/proc/{pid}/cmdline").read_text():
                environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
                found[int(next(v for v in environment if v.startswith("RANK="))[5:])] = pid
        except OSError:
            pass
    return found


def _below(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(path.parent.name)
                yield from _below(int(path.parent.name))
        except OSError:
            pass


def has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("*/seed-0/checkpoints/*.pt"))


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    while not has_checkpoint(folder):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def wait_for_leader(process: subprocess.Popen[str], folder: Path) -> None:
    """Until rank 0 listens to signals."""
    while not any(folder.glob("*/seed-0/starts/*.processes/rank-0.pid")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def wait_for_ranks(process: subprocess.Popen[str]) -> dict[int, int]:
    """Until both are there; what `ranks` found."""
    while len(found := ranks(process.pid)) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return found


def ending(folder: Path) -> dict:
    return json.loads(max(folder.glob("*/seed-0/starts/*.end.json")).read_text())


def timeless(folder: Path) -> dict:
    (path,) = folder.glob("*/seed-0/result.json")
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in CLOCK}


@pytest.mark.slow
def test_killed_and_stopped_and_resumed_to_the_same_end(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = started(runs, *LONG)
    wait_for_checkpoint(process, runs)
    os.kill(ranks(process.pid)[1], signal.SIGKILL)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "rank 1 was killed (SIGKILL)" in said
    assert "Traceback" not in said
    assert ending(runs)["state"] == "failed"

    process = started(runs, *LONG)
    wait_for_leader(process, runs)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert ending(runs)["state"] == "preempted"
    assert ending(runs)["step"] > 0

    process = started(runs, *LONG)
    wait_for_leader(process, runs)
    before = ranks(process.pid)
    process.kill()  # its ranks see that they are alone, save, and stop
    process.communicate()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in before.values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    process = started(runs, *LONG)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "resuming" in said
    assert not list(runs.glob("*/seed-0/starts/*.processes"))
    whole = tmp_path / "whole"
    said, _ = started(whole, *LONG).communicate(timeout=200)
    assert timeless(runs) == timeless(whole)


@pytest.mark.slow
def test_stopped_and_left_alone_while_it_is_getting_ready(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = started(runs, *LONG)
    wait_for_ranks(process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert ending(runs)["state"] == "preempted"

    process = started(runs, *LONG)
    before = wait_for_ranks(process)  # so young that they have not looked for their parent yet
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 100
    while any(Path(f"/proc/{pid}").exists() for pid in before.values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_run_begun_alone_goes_on_with_two_processes(chtexp_process: Callable, tmp_path: Path, monkeypatch) -> None:
    """It ends where one process would, but for rounding, and says that the processes are others."""
    alone = [part for part in RUN if part != "hardware=ddp"]
    whole, begun = (compose_run([*alone, f"paths.runs={tmp_path / name}"]) for name in ("whole", "runs"))
    wanted = execute(whole, "undisturbed")
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 8)
        with pytest.raises(Stopped):
            execute(begun.model_copy(update={"checkpoint": Checkpointing(steps=1)}), "stopped")
    assert "goes on with 2" in chtexp_process("train", *RUN).stdout
    result = begun.folder.read_result()
    assert result is not None
    assert result["environment"]["processes"] == 2
    assert result["links"] == wanted["links"]
    lines, other = (folder.read_metrics() for folder in (begun.folder, whole.folder))
    assert [line["step"] for line in lines] == [line["step"] for line in other]
    losses, wanted_losses = (
        [line["train_loss"] for line in each if line["kind"] == "evaluation"] for each in (lines, other)
    )
    assert losses == pytest.approx(wanted_losses, rel=1e-3)


@pytest.mark.slow
def test_a_mistake_and_a_failure_are_said_once(chtexp_process: Callable, tmp_path: Path) -> None:
    done = chtexp_process("train", *RUN, "task.learning_rate.start=1e12", check=1)
    assert "Diverged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = chtexp_process("train", *RUN, "method/topology=brf", "method.topology.r=7", check=2)
    assert len(done.stderr.strip().splitlines()) == 1
    done = chtexp_process("train", *RUN, "hardware.nodes=2", check=2)
    assert "needs a Slurm job of 2 nodes" in done.stderr


def test_torchrun_is_not_for_the_person_to_type(chtexp_process: Callable, monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    done = chtexp_process("train", *RUN, check=2)
    assert "without torchrun" in done.stderr


def test_more_processes_than_cores_can_carry_are_refused(chtexp_process: Callable) -> None:
    done = chtexp_process("train", *RUN, "hardware.processes=4000", check=2)
    assert "too many for the" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def failure(rank: int, at: float, reason: str = "Boom: x", kind: str = "failure") -> Ending:
    return Ending(rank, kind, reason, at)


@pytest.mark.parametrize(
    ("found", "exited", "reason"),
    [
        ([failure(1, 1.0), failure(0, 2.0, "connection lost")], [Exit(1, 1, 1.0)], "Boom: x"),
        ([failure(0, 9.0, "connection lost")], [Exit(1, -9, 9.5)], "rank 1 was killed (SIGKILL)"),
        ([failure(0, 9.2, "lost")], [Exit(0, 1, 9.0), Exit(1, -9, 9.0)], "rank 1 was killed (SIGKILL)"),
        ([failure(0, 9.0)], [Exit(1, -9, 40.0)], "Boom: x"),  # it hung, and was killed for that
        ([], [Exit(1, -15, 3.0)], "its processes ended with exit code -15"),
        ([], [], "its processes ended with exit code 3"),
        ([failure(1, 1.0, kind="stopped"), failure(0, 2.0)], [], "Boom: x"),
    ],
)
def test_the_cause_is_what_came_first(found: list[Ending], exited: list[Exit], reason: str) -> None:
    cause = _cause(found, exited, 3)
    assert isinstance(cause, TogetherFailed)
    assert str(cause) == reason


def test_a_mistake_stays_a_mistake() -> None:
    assert isinstance(_cause([failure(0, 1.0, kind="mistake")], [], 1), UserError)


def test_nodes_meet_at_the_first_one(monkeypatch) -> None:
    assert _endpoint(1) == ""
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    with pytest.raises(UserError, match="beside it"):  # as in salloc on a login node
        _endpoint(2)
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    host, port = _endpoint(2).split(":")
    assert host == os.uname().nodename
    assert 1024 <= int(port) < 65536
    with pytest.raises(UserError, match="needs a Slurm job of 3 nodes, and this is one of 2"):
        _endpoint(3)


def test_memory_that_ran_out_is_told_from_a_kill() -> None:
    assert (
        str(_cause([], [Exit(1, -9, 1.0, memory_ran_out=True)], 1))
        == "out of memory: the system killed rank 1 (SIGKILL)"
    )
