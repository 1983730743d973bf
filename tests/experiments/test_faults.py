"""Disks that are full or read-only, files that were cut off: each ends in a correct result or in one clear error."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chtexp.compose import compose_run
from chtexp.experiments.description import Run
from chtexp.experiments.run import RunFailed, execute
from chtexp.store import condition
from chtexp.train.checkpoint import Checkpoints

from .test_resume import Stopped, _stop_before_step, timeless

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


def test_a_disk_without_any_space_left(small_disk: Path, chtexp: Callable) -> None:
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)
    done = chtexp("train", *DENSE, f"paths.runs={small_disk}/runs", check=None)
    assert done.returncode in (1, 2)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    (small_disk / "filler").unlink()
    remount(small_disk, "size=9m")
    chtexp("train", *DENSE, f"paths.runs={small_disk}/runs", "model.hidden=[20]")


def test_a_read_only_folder(small_disk: Path, chtexp: Callable) -> None:
    remount(small_disk, "ro")
    done = chtexp("train", *DENSE, f"paths.runs={small_disk}/runs", check=2)
    assert "cannot be written (Read-only file system)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = chtexp("sweep", "quickstart", "budget=smoke", f"paths.runs={small_disk}/runs", check=2)
    assert "Read-only file system" in done.stderr
    assert "0 runs" in chtexp("status", f"paths.runs={small_disk}/runs").stdout


@pytest.mark.parametrize("damage", ["newest", "all", "metrics"])
def test_files_that_were_cut_off(damage: str, small_run: Callable[..., Run], monkeypatch, capsys) -> None:
    overrides = ["method=set", "checkpoint.steps=1"]
    stopped = small_run(*overrides)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "busy", False)  # none is passed over
        _stop_before_step(patched, 12)
        with pytest.raises(Stopped):
            execute(stopped, "stopped")
    files = sorted(stopped.folder.checkpoints.glob("*.pt"))
    assert len(files) == 2
    if damage == "metrics":
        stopped.folder.metrics.write_bytes(stopped.folder.metrics.read_bytes()[:-40])
        with pytest.raises(RunFailed, match="has lost lines since its checkpoint"):
            execute(stopped, "resumed")
        return
    for path in files[-1:] if damage == "newest" else files:
        path.write_bytes(path.read_bytes()[:1000])
    if damage == "all":
        with pytest.raises(RunFailed, match=r"no checkpoint in .* is whole"):
            execute(stopped, "resumed")
        assert condition(stopped.folder).state == "failed"
        return
    result = execute(stopped, "resumed")
    assert f"{files[-1]} is damaged" in capsys.readouterr().out
    whole = small_run(*overrides, "paths.runs=" + str(stopped.paths.runs.parent / "whole"))
    assert timeless(result) == timeless(execute(whole, "whole"))
    assert Checkpoints(stopped.folder.checkpoints, print)._names()
