"""Whatever happens to a checkpoint's file, a whole one is loaded, or nothing is made up."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
import torch

from chtexp.store.damage import NoUsableCheckpoint
from chtexp.train.checkpoint import Checkpoints, Unusable

CPU = torch.device("cpu")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path: Path, said: list[str]) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", said.append)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "checkpoints").glob("*.pt"))


def save(checkpoints: Checkpoints, *steps: int, wait: bool = True) -> None:
    for step in steps:
        checkpoints.save({"step": step, "weight": torch.full((1000,), float(step))}, step, wait=wait)
    checkpoints.finish()


def test_the_last_two_are_kept_and_the_newest_is_loaded(checkpoints: Checkpoints, tmp_path: Path) -> None:
    assert checkpoints.load(CPU) is None
    save(checkpoints, 5, 10, 1000000000, 20)
    assert [path.name.split(".")[0] for path in files(tmp_path)] == ["step-000000020", "step-1000000000"]
    state = checkpoints.load(CPU)
    assert state["step"] == 1000000000
    assert state["weight"].eq(1e9).all()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "longer"])
def test_a_damaged_one_is_recognised_and_the_one_before_is_taken(
    damage: str, checkpoints: Checkpoints, tmp_path: Path, said: list[str]
) -> None:
    save(checkpoints, 5, 10)
    newest = files(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(
        {"truncated": data[:-100], "flipped": data, "emptied": b"", "longer": newest.read_bytes() + b"x"}[damage]
    )
    assert checkpoints.load(CPU)["step"] == 5
    assert "step-000000010" in said[0]
    assert "is damaged" in said[0]
    assert not newest.exists(), "it would count as one of the two that are kept"
    files(tmp_path)[-1].write_bytes(b"")
    with pytest.raises(NoUsableCheckpoint, match=r"no checkpoint in .* can be used: step-000000005.* is damaged"):
        checkpoints.load(CPU)
    assert files(tmp_path)


def test_a_whole_one_that_is_no_use_is_passed_over_as_a_damaged_one_is(
    checkpoints: Checkpoints, tmp_path: Path, said: list[str]
) -> None:
    def at_most(step: int):
        def check(state: dict) -> None:
            if state["step"] > step:
                raise Unusable("is too young")

        return check

    save(checkpoints, 5, 10)
    old, young = files(tmp_path)
    with pytest.raises(
        NoUsableCheckpoint, match=rf"{young.name} is too young; {old.name} is too young; overwrite=true"
    ):
        checkpoints.load(CPU, at_most(4))
    assert files(tmp_path) == [old, young], "what is no use today is not lost"
    assert checkpoints.load(CPU, at_most(10))["step"] == 10
    said.clear()
    assert checkpoints.load(CPU, at_most(9))["step"] == 5
    assert said == [f"checkpoint {young} is too young; trying the one before"]
    save(checkpoints, 6)
    assert [path.name[:14] for path in files(tmp_path)] == ["step-000000005", "step-000000006"]
    assert young.with_suffix(".unusable").exists()


def test_the_folder_is_synced_after_the_renaming(checkpoints: Checkpoints, tmp_path: Path, monkeypatch) -> None:
    synced: list[tuple[bool, int]] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((_is_folder(file), len(files(tmp_path)))))
    save(checkpoints, 5)
    assert synced == [(False, 0), (True, 1)]


def _is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def test_a_copy_is_written_while_training_goes_on(checkpoints: Checkpoints, monkeypatch) -> None:
    go_on = threading.Event()
    save_ = torch.save
    monkeypatch.setattr(torch, "save", lambda *arguments: (go_on.wait(10), save_(*arguments)))
    weight = torch.zeros(10)
    checkpoints.save({"weight": weight}, 1, wait=False)
    assert checkpoints.busy
    weight += 1
    go_on.set()
    checkpoints.finish()
    assert not checkpoints.busy
    assert checkpoints.load(CPU)["weight"].eq(0).all()


def test_a_full_disk_keeps_the_one_before(
    checkpoints: Checkpoints, tmp_path: Path, said: list[str], monkeypatch
) -> None:
    save(checkpoints, 5)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("chtexp.train.checkpoint.os.fsync", full)
        save(checkpoints, 10, wait=False)
        assert "step 10 could not be written" in said[0]
        assert "No space left on device" in said[0]
        with pytest.raises(OSError, match="No space left"):
            save(checkpoints, 11)
    assert len(files(tmp_path)) == 1
    assert checkpoints.load(CPU)["step"] == 5


def test_what_reads_back_as_something_else_is_not_kept(checkpoints: Checkpoints, tmp_path: Path, monkeypatch) -> None:
    save(checkpoints, 5)
    with monkeypatch.context() as patched:
        patched.setattr("chtexp.train.checkpoint._checksum", lambda path: "0" * 16)
        with pytest.raises(OSError, match="reads back as something else"):
            save(checkpoints, 10)
    assert checkpoints.load(CPU)["step"] == 5
    assert len(files(tmp_path)) == 1
