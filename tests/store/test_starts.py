"""One process at a time works on a run, whatever becomes of it; and what it was is read off the folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sample_results import result

from chtexp.launch.slurm_queue import queue_of
from chtexp.store import Job, RunFolder, RunLocked, Said, condition, starts
from chtexp.store.starts import Process, Start, TakenOver


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "x" / "seed-0")


def state(folder: RunFolder, queue: dict[str, str] | None = None) -> str:
    return condition(folder, queue and {job: Said(said) for job, said in queue.items()}).state


def begun_elsewhere(folder: RunFolder, silent: float, job: str | None = None) -> Start:
    """A start on another machine that last gave a sign of life so many seconds ago."""
    (folder.path / "starts").mkdir(parents=True, exist_ok=True)
    last = folder.last_start()
    start = Start(folder.path / "starts", last.number + 1 if last else 1)
    values = {"host": "other", "machine": "other x y", "pid": 1, "born": "1", "job": job, "restarts": 0}
    start.path.write_text(json.dumps(values))
    then = time.time() - silent
    os.utime(start.path, (then, then))
    return start


def test_states_follow_the_files(folder: RunFolder) -> None:
    assert state(folder) == "missing"
    with folder.claimed() as signs:
        assert state(folder) == "running"
        signs.start.end("preempted", reason="Ctrl-C", step=3)
    assert condition(folder) == starts_condition("preempted", "Ctrl-C", 3)
    with pytest.raises(KeyboardInterrupt), folder.claimed():
        raise KeyboardInterrupt("twice")
    assert condition(folder).reason == "KeyboardInterrupt: twice"
    assert state(folder) == "failed"
    with folder.claimed() as signs:
        folder.finish(result())
        signs.start.end("done")
    assert state(folder) == "done"
    found = condition(folder).result
    assert found is not None
    assert folder.read_result() == result() == found.said
    folder.result.unlink()
    assert state(folder) == "missing"


def starts_condition(state: str, reason: str, step: int) -> object:
    from chtexp.store import Condition

    return Condition(state, reason, step)


def _hold(folder: RunFolder, ready) -> None:
    with folder.claimed():
        ready.set()
        signal.pause()


def test_a_claim_keeps_others_off_and_dies_with_its_process(folder: RunFolder) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(folder, ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(RunLocked, match=rf"process {holder.pid} on {socket.gethostname()}"), folder.claimed():
        pass
    assert state(folder) == "running"
    os.kill(holder.pid, signal.SIGKILL)
    while state(folder) == "running":  # before anybody buries it
        time.sleep(0.01)
    assert condition(folder).reason.startswith("its process is gone without a word")
    assert state(folder) == "failed"
    with folder.claimed():
        pass
    holder.join()


def test_a_process_number_that_was_given_away_again_is_no_sign_of_life(folder: RunFolder) -> None:
    start = begun_elsewhere(folder, 0)
    other = Process.this()
    start.path.write_text(json.dumps({**other.__dict__, "born": "1"}))  # this very process number, born at another time
    assert start.is_over()


def test_another_machine_is_believed_while_it_gives_signs_of_life(folder: RunFolder) -> None:
    start = begun_elsewhere(folder, starts.STALE_SECONDS - 30)
    assert state(folder) == "running"
    with pytest.raises(RunLocked, match="process 1 on other"), folder.claimed():
        pass
    for silent in (starts.STALE_SECONDS + 30, -starts.STALE_SECONDS - 30):  # or the clock went back
        then = time.time() - silent
        os.utime(start.path, (then, then))
        assert state(folder) == "stale"
    with folder.claimed():
        assert folder.last_start().number == 2


def test_a_clock_that_goes_backwards_takes_no_run_from_a_process_that_is_seen_to_live(folder: RunFolder) -> None:
    with folder.claimed() as signs:
        for ahead in (3600, -3600):  # its last sign of life is from the future, or long ago
            os.utime(signs.start.path, (time.time() + ahead,) * 2)
            assert state(folder) == "running"
            with pytest.raises(RunLocked), folder.claimed():
                pass
    elsewhere = begun_elsewhere(folder, -3600)
    assert state(folder) == "stale"
    os.utime(elsewhere.path)  # the next sign of life, by the clock as it is now
    assert state(folder) == "running"


def test_a_start_that_was_taken_over_sees_it(folder: RunFolder, monkeypatch) -> None:
    monkeypatch.setattr(starts, "SIGN_SECONDS", 0.01)
    with folder.claimed() as signs:
        before = signs.start.path.stat().st_mtime_ns
        signs.check()
        time.sleep(0.1)
        assert signs.start.path.stat().st_mtime_ns > before
        begun_elsewhere(folder, 0)
        with pytest.raises(TakenOver):
            signs.check()
        time.sleep(0.1)
        assert signs.taken_over


def test_a_start_that_a_full_disk_cut_off_blocks_for_a_while_only(folder: RunFolder) -> None:
    start = begun_elsewhere(folder, 0)
    start.path.write_text('{"host": ')
    assert state(folder) == "running"
    then = time.time() - starts.STALE_SECONDS - 10
    os.utime(start.path, (then, then))
    assert state(folder) == "stale"
    with folder.claimed():
        pass


RACE = """
import sys, time
from pathlib import Path
from chtexp.store import Job, RunFolder, RunLocked
folder, tries = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
for _ in range(tries):
    try:
        with folder.claimed() as signs:
            inside = folder.path / "inside"
            inside.open("x").close()  # an error if anybody else is in
            time.sleep(0.001)
            with (folder.path / "count").open("a") as file:
                file.write("1\\n")
            inside.unlink()
            signs.start.end("preempted", reason="", step=0)
    except RunLocked:
        time.sleep(0.0005)
"""


def test_many_processes_race_and_one_at_a_time_is_in(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    racers = [subprocess.Popen([sys.executable, "-c", RACE, str(folder.path), "150"]) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    entered = len((folder.path / "count").read_text().splitlines())
    assert entered == folder.last_start().number >= 20


# ---------------------------------------------------------------------- what a scheduler adds


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("PENDING", "pending"),
        ("RUNNING", "pending"),
        ("CANCELLED", "preempted"),
        ("TIMEOUT", "timed-out"),
        ("OUT_OF_MEMORY", "failed"),
        ("NODE_FAIL", "failed"),
        ("COMPLETED", "missing"),  # its sweep had had too many failures
        (None, "missing"),
    ],
)
def test_a_job_that_has_not_begun_its_run(said: str | None, wanted: str, folder: RunFolder) -> None:
    folder.submit(Job.given("12_3", folder.starts, "sweep"))
    assert state(folder) == "pending"
    assert state(folder, {"12_3": said} if said else {}) == wanted


def test_a_waiting_jobs_reason_is_shown(folder: RunFolder) -> None:
    folder.submit(Job.given("12_3", folder.starts, "sweep", "chtexp train seed=0"))
    assert (
        condition(folder, {"12_3": Said("PENDING", "PartitionConfig")}).reason
        == "job 12_3 is PENDING (PartitionConfig)"
    )
    assert folder.last_command() == "chtexp train seed=0"  # though nobody typed it yet


def test_a_run_of_a_sweep_on_this_machine_is_pending_while_the_sweep_is_at_work(
    folder: RunFolder, tmp_path: Path
) -> None:
    folder.submit(Job.given(None, folder.starts, str(tmp_path / "sweep")))
    assert state(folder) == "missing"
    conducting = Start.claim(tmp_path / "sweep" / "starts")
    assert state(folder) == "pending"
    assert state(folder, {}) == "pending"
    with folder.claimed() as signs:
        assert state(folder) == "running"
        signs.start.end("failed", reason="x", step=3)
    assert state(folder) == "failed"  # its turn was had
    folder.submit(Job.given(None, folder.starts, str(tmp_path / "sweep")))
    assert state(folder) == "pending"
    conducting.end("done")
    assert state(folder) == "failed"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("result.json", "{", "result.json cannot be read (Expecting property name"),
        ("result.json", '{"seed": 0}', "result.json is no whole result: id missing, data missing"),
        ("submitted.json", "[1]", "submitted.json is no job: list where names and values belong"),
        ("submitted.json", '{"name": null}', "submitted.json is no whole job: starts_before missing, sweep missing"),
        ("starts/0001.end.json", "{", "0001.end.json cannot be read (Expecting property name"),
    ],
)
def test_what_cannot_be_read_is_a_state_of_its_own(folder: RunFolder, file: str, text: str, said: str) -> None:
    with folder.claimed() as signs:
        signs.start.end("preempted", reason="Ctrl-C", step=3)
    (folder.path / file).write_text(text)
    found = condition(folder)
    assert found.state == "damaged"
    assert said in found.reason
    assert queue_of([folder]) is None  # nor is the scheduler kept from being asked about the others


def test_seeds_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        RunFolder(tmp_path / "x" / f"seed-{seed}").finish(result(seed))
    assert [folder.path.name for folder in RunFolder.every(tmp_path)] == ["seed-1", "seed-2", "seed-10"]


def test_a_job_that_was_queued_again_and_runs_is_awaited(folder: RunFolder) -> None:
    folder.submit(Job.given("12_3", folder.starts, "sweep"))
    begun_elsewhere(folder, 1, "12_3").end("timed-out", reason="", step=3)
    assert state(folder) == "timed-out"
    assert state(folder, {"12_3": "RUNNING"}) == "pending"
    assert state(folder, {"12_3": "COMPLETED"}) == "timed-out"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("RUNNING", "stale"),  # the job is there and its run silent
        ("PENDING", "pending"),  # requeued
        ("CANCELLED", "preempted"),
        ("TIMEOUT", "timed-out"),
        ("OUT_OF_MEMORY", "failed"),
        (None, "stale"),
    ],
)
def test_a_job_whose_run_fell_silent(said: str | None, wanted: str, folder: RunFolder) -> None:
    folder.submit(Job.given("12_3", folder.starts, "sweep"))
    begun_elsewhere(folder, 10_000, "12_3")
    assert state(folder, {"12_3": said} if said else {}) == wanted


def test_a_job_that_left_the_queue_a_moment_ago(folder: RunFolder) -> None:
    folder.submit(Job.given("12_3", folder.starts, "sweep"))
    start = begun_elsewhere(folder, 1, "12_3")
    assert state(folder) == "running"
    for said in ({}, {"12_3": "OUT_OF_MEMORY"}):  # of another cluster, perhaps: a sign of life counts more
        assert state(folder, said) == "running"
    then = time.time() - 40
    os.utime(start.path, (then, then))
    assert state(folder) == "running"
    assert state(folder, {"12_3": "RUNNING"}) == "running"
    assert state(folder, {"12_3": "OUT_OF_MEMORY"}) == "failed"
    assert state(folder, {"12_3": "PENDING"}) == "pending"


def test_a_requeued_job_takes_over_from_itself_at_once(folder: RunFolder, monkeypatch) -> None:
    start = begun_elsewhere(folder, 1, "12_3")
    for name, value in zip(starts.JOB_VARIABLES, ("12", "3", "15", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert start.is_over()
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    assert not start.is_over()
