"""Disks that are full or read-only, files that were cut off: each ends in a correct result or in one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.run.execute import RunFailed, execute
from chtexp.store import condition
from chtexp.store.damage import NoUsableCheckpoint
from chtexp.train.checkpoint import Checkpoints

from .test_resume import Stopped, _stop_before_step, timeless, timeless_lines

OVERRIDES = ["method=set", "checkpoint.steps=1"]
DENSE = ["data=digits", "method=fc", "budget=smoke", "hardware.threads=1", "checkpoint.steps=1"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; a function of the test may `mount -o remount` it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def run(folder: Path, *overrides: str) -> Run:
    return compose_run([*DENSE, f"paths.runs={folder}", *overrides])


def test_a_disk_that_is_full_when_a_checkpoint_is_due(small_disk: Path, tmp_path: Path, capsys) -> None:
    large = ["model.hidden=[300,300]"]  # 0.9 MB a checkpoint
    full = run(small_disk, *large)
    with pytest.raises(RunFailed, match="No space left on device"):  # at the last one, which must be written
        execute(full, "full")
    assert "could not be written" in capsys.readouterr().out  # one before the last
    found = condition(full.folder)
    assert found.state == "failed"
    assert "No space left on device" in found.reason
    assert not list(full.folder.checkpoints.glob("*.part"))
    remount(small_disk, "size=9m")
    whole = run(tmp_path / "whole", *large)
    assert timeless(execute(full, "again")) == timeless(execute(whole, "whole"))


def test_a_disk_without_any_space_left(small_disk: Path, chtexp_process: Callable) -> None:
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        for _ in range(512):
            filler.write(b"x" * 4096)
    done = chtexp_process("train", *DENSE, f"paths.runs={small_disk}/runs", check=None)
    assert done.returncode in (1, 2)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    (small_disk / "filler").unlink()
    remount(small_disk, "size=9m")
    chtexp_process("train", *DENSE, f"paths.runs={small_disk}/runs", "model.hidden=[20]")


def test_a_read_only_folder(small_disk: Path, chtexp_process: Callable) -> None:
    remount(small_disk, "ro")
    done = chtexp_process("train", *DENSE, f"paths.runs={small_disk}/runs", check=1)
    assert "cannot be written (Read-only file system)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = chtexp_process("sweep", "quickstart", "budget=smoke", f"paths.runs={small_disk}/runs", check=1)
    assert "Read-only file system" in done.stderr
    assert "there is no folder" in chtexp_process("status", f"paths.runs={small_disk}/runs", check=2).stderr


def stopped_at(step: int, stopped: Run, monkeypatch) -> list[Path]:
    """Train up to this step, then end as if killed; the two checkpoints, of this step and of the one before."""
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "busy", False)  # none is passed over
        _stop_before_step(patched, step)
        with pytest.raises(Stopped):
            execute(stopped, "stopped")
    files = sorted(stopped.folder.checkpoints.glob("*.pt"))
    assert [int(path.name.split(".")[0].removeprefix("step-")) for path in files] == [step - 1, step]
    return files


def ends_as_an_undisturbed_one(disturbed: Run, small_run: Callable[..., Run]) -> None:
    """Resumed, the run and its lines are those of a run that nothing happened to."""
    result = execute(disturbed, "resumed")
    whole = small_run(*OVERRIDES, f"paths.runs={disturbed.paths.runs.parent}/whole")
    assert timeless(result) == timeless(execute(whole, "whole"))
    assert timeless_lines(disturbed.folder.metrics) == timeless_lines(whole.folder.metrics)
    assert Checkpoints(disturbed.folder.checkpoints, print)._names()


def test_a_checkpoint_that_was_cut_off(small_run: Callable[..., Run], monkeypatch, capsys) -> None:
    stopped = small_run(*OVERRIDES)
    _, newest = stopped_at(12, stopped, monkeypatch)
    newest.write_bytes(newest.read_bytes()[:1000])
    ends_as_an_undisturbed_one(stopped, small_run)
    assert f"{newest} is damaged" in capsys.readouterr().out


def test_checkpoints_that_were_all_cut_off(small_run: Callable[..., Run], monkeypatch) -> None:
    stopped = small_run(*OVERRIDES)
    for path in stopped_at(12, stopped, monkeypatch):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(NoUsableCheckpoint, match=r"no checkpoint in .* can be used: .* is damaged"):
        execute(stopped, "resumed")
    assert condition(stopped.folder).state == "failed"


def test_a_line_of_metrics_that_was_cut_off(small_run: Callable[..., Run], monkeypatch, capsys) -> None:
    """The lines of step 10 are in the newest checkpoint's count, and not in that of the one before."""
    stopped = small_run(*OVERRIDES)
    _, newest = stopped_at(10, stopped, monkeypatch)
    metrics = stopped.folder.metrics
    metrics.write_bytes(metrics.read_bytes()[:-40])
    ends_as_an_undisturbed_one(stopped, small_run)
    said = capsys.readouterr().out
    assert f"checkpoint {newest} does not fit metrics.jsonl, which has lost lines since; trying the one before" in said
    assert "at step 9 of" in said


def test_a_torn_line_of_metrics_beyond_the_checkpoint(small_run: Callable[..., Run], monkeypatch) -> None:
    stopped = small_run(*OVERRIDES)
    stopped_at(12, stopped, monkeypatch)
    with stopped.folder.metrics.open("ab") as file:
        file.write(b'{"kind": "evaluation", "step": 15, "acc')
    assert stopped.folder.last_evaluation()["step"] == 10
    ends_as_an_undisturbed_one(stopped, small_run)


@pytest.mark.parametrize("left", [None, 0, 100], ids=str)
def test_metrics_that_fit_no_checkpoint(left: int | None, small_run: Callable[..., Run], monkeypatch) -> None:
    stopped = small_run(*OVERRIDES)
    files = stopped_at(12, stopped, monkeypatch)
    metrics = stopped.folder.metrics
    lost = metrics.read_bytes()
    metrics.unlink() if left is None else metrics.write_bytes(lost[:left])
    with pytest.raises(
        NoUsableCheckpoint, match=r"no checkpoint in .* can be used: .* has lost lines since; overwrite=true"
    ):
        execute(stopped, "resumed")
    assert condition(stopped.folder).state == "failed"
    assert all(path.exists() for path in files)
    metrics.write_bytes(lost)  # found again
    ends_as_an_undisturbed_one(stopped, small_run)


def test_a_clock_that_goes_backwards(small_run: Callable[..., Run], monkeypatch) -> None:
    """By an hour at every look, and once more after the run was stopped, so that all its files are from the future."""
    stopped, clock = small_run(*OVERRIDES), iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    stopped_at(12, stopped, monkeypatch)
    for path in stopped.folder.path.rglob("*"):
        os.utime(path, (4_000_000_000, 4_000_000_000))
    ends_as_an_undisturbed_one(stopped, small_run)
    seconds = [line["seconds"] for line in stopped.folder.read_metrics() if "seconds" in line]
    assert 0 < seconds[0] < seconds[-1] < 60
    assert seconds == sorted(seconds)


FULL_AT_THE_END = """
import sys
from contextlib import suppress
from pathlib import Path
from chtexp.cli import main
from chtexp.store import RunFolder
finish, filler = RunFolder.finish, Path(sys.argv[1])  # Hydra sets other arguments
def on_a_full_disk(self, *written):
    with suppress(OSError), filler.open("xb", buffering=0) as file:
        for _ in range(512):  # 2 MB, and no more should it be no small disk
            file.write(b"x" * 4096)
    return finish(self, *written)
RunFolder.finish = on_a_full_disk
main(sys.argv[2:])
"""


def test_a_disk_that_is_full_when_the_result_is_written(small_disk: Path, tmp_path: Path) -> None:
    last = run(small_disk, "model.hidden=[20]")
    filler = small_disk / "filler"
    typed = ["train", *DENSE, f"paths.runs={small_disk}", "model.hidden=[20]"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_AT_THE_END, str(filler), *typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert condition(last.folder).state == "failed"
    assert not last.folder.result.exists()
    assert not list(last.folder.path.glob(".*.part"))
    trained = len(last.folder.metrics.read_text().splitlines())
    filler.unlink()
    result = execute(last, "again")
    assert "resuming" in last.folder.log.read_text()
    assert len(last.folder.metrics.read_text().splitlines()) == trained, "the training was done; nothing is done twice"
    assert timeless(result) == timeless(execute(run(tmp_path / "whole", "model.hidden=[20]"), "whole"))
