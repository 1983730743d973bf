"""A run goes on from what is whole in its folder, whoever wrote it and whatever else lies there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chtexp.config.run import Run
from chtexp.errors import Unavailable, UserError
from chtexp.run.execute import RunFailed, execute
from chtexp.store import RunFolder, condition
from chtexp.store.damage import NoUsableCheckpoint
from chtexp.tasks import ImageClassification
from chtexp.train.checkpoint import Checkpoints

OVERRIDES = ("method=chtss_n", "task.epochs=200", "checkpoint.steps=1")
CPU = torch.device("cpu")


@pytest.fixture
def whole(small_run: Callable[..., Run], tmp_path: Path) -> Run:
    """A run that is done."""
    run = small_run(*OVERRIDES, f"paths.runs={tmp_path / 'whole'}")
    execute(run, "whole")
    return run


@pytest.fixture
def stopped(whole: Run, tmp_path: Path) -> Run:
    """The same run, stopped before its result was written."""
    run = whole.model_copy(update={"paths": whole.paths.model_copy(update={"runs": tmp_path / "stopped"})})
    shutil.copytree(whole.folder.path, run.folder.path, ignore=shutil.ignore_patterns("result.json", "starts"))
    return run


def checkpoints(run: Run) -> list[Path]:
    return sorted(run.folder.checkpoints.glob("*.pt"))


def timeless(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def lines_of(run: Run, checkpoint: Path) -> int:
    """The bytes of metrics.jsonl when the checkpoint was saved."""
    return int(torch.load(checkpoint, weights_only=True)["metrics_size"])


def test_records_that_changed_since_a_checkpoint_are_not_gone_on_with(whole: Run, stopped: Run) -> None:
    before, last = checkpoints(stopped)
    kept = lines_of(stopped, before)
    assert kept < lines_of(stopped, last)
    flip(stopped.folder.metrics, kept + 20)
    execute(stopped, "resumed")
    assert "does not fit metrics.jsonl, which is damaged; trying the one before" in stopped.folder.log.read_text()
    assert timeless(stopped.folder.metrics) == timeless(whole.folder.metrics)
    assert stopped.folder.read_metrics()


def test_without_any_checkpoint_that_fits_the_run_says_what_to_type(stopped: Run) -> None:
    flip(stopped.folder.metrics, 20)
    with pytest.raises(
        Unavailable, match=r"no checkpoint .* can be used: .* is damaged; overwrite=true trains the run"
    ):
        execute(stopped, "resumed")
    assert not stopped.folder.result.exists()
    assert "Traceback" not in stopped.folder.log.read_text()


def test_what_a_killed_process_left_after_its_checkpoint_is_cut_off(whole: Run, stopped: Run) -> None:
    with stopped.folder.metrics.open("ab") as file:
        file.write(b"\xff\xfe{\n")
    execute(stopped, "resumed")
    assert timeless(stopped.folder.metrics) == timeless(whole.folder.metrics)


def test_a_folder_begun_by_older_code_is_gone_on_with(whole: Run, stopped: Run) -> None:
    for path in checkpoints(stopped)[1:]:
        path.unlink()
    (path,) = checkpoints(stopped)
    step = int(path.name[5:14])
    state = torch.load(path, weights_only=True)
    del state["run"], state["metrics_checksum"], state["training"]["beside"]
    path.unlink()
    old = Checkpoints(stopped.folder.checkpoints, print)
    old.save(state, step, wait=True)
    execute(stopped, "resumed")
    assert "resuming" in stopped.folder.log.read_text()
    assert timeless(stopped.folder.metrics) == timeless(whole.folder.metrics)
    mine, its = (run.folder.finished() for run in (stopped, whole))
    assert mine is not None
    assert its is not None
    assert mine.reported == its.reported


def test_a_folder_or_a_file_in_the_wrong_place_is_set_aside(small_run: Callable[..., Run]) -> None:
    run = small_run("method=set")
    run.folder.metrics.mkdir(parents=True)
    run.folder.checkpoints.write_text("not a folder")
    execute(run, "test")
    assert run.folder.read_metrics()
    assert run.folder.metrics.with_name("metrics.jsonl.damaged").is_dir()
    assert checkpoints(run)
    assert run.folder.checkpoints.with_name("checkpoints.damaged").read_text() == "not a folder"


def test_a_metric_that_no_file_could_hold_is_a_diverged_training(small_run: Callable[..., Run], monkeypatch) -> None:
    monkeypatch.setattr(ImageClassification, "evaluate", lambda self, model: {"accuracy": 1e200})
    run = small_run("method=set")
    with pytest.raises(RunFailed, match=r"accuracy is 1e\+200 at step 5.*lower the learning rate"):
        execute(run, "test")
    assert condition(run.folder).state == "failed"
    assert run.folder.read_metrics() == []


def test_a_typing_mistake_found_late_leaves_no_folder(chtexp, tmp_path: Path) -> None:
    said = chtexp("train", "data=digits", "budget=smoke", "method=set", "method.sparsity=0.99999", check=2).stderr
    assert "without any link" in said
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("error", "left"),
    [(UserError("mistyped"), False), (Unavailable("no network"), True), (RuntimeError("a fault of ours"), True)],
    ids=["mistake", "failure", "fault"],
)
def test_only_a_mistake_leaves_no_folder(
    error: Exception, left: bool, processes: int, small_run: Callable[..., Run], monkeypatch
) -> None:
    run = small_run("method=set", f"hardware.processes={processes}")

    def fail(*given: object) -> None:
        raise error

    monkeypatch.setattr(
        "chtexp.run.execute.Work.train" if processes == 1 else "chtexp.run.execute.Together.train", fail
    )
    with pytest.raises(type(error) if isinstance(error, UserError) else RunFailed):
        execute(run, "test")
    assert run.folder.path.exists() == run.folder.path.parent.exists() == left
    if left:
        assert condition(run.folder).state == "failed"


def test_a_folder_that_was_there_before_stays(small_run: Callable[..., Run]) -> None:
    run = small_run("method=set", "method.sparsity=0.9999")
    run.folder.path.mkdir(parents=True)
    run.folder.selected.write_text("from elsewhere")
    with pytest.raises(UserError, match="without any link"):
        execute(run, "test")
    assert run.folder.selected.exists()
    assert condition(run.folder).state == "failed"


def test_another_start_of_the_run_keeps_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run" / "seed-0")
    with folder.claimed() as signs:
        signs.of_no_use = True
        (folder.path / "starts" / "0002.json").write_text("{}")  # by somebody who thought this one dead
    assert folder.path.exists()


def test_what_goes_on_without_a_usable_checkpoint_begins_anew(stopped: Run, chtexp) -> None:
    flip(stopped.folder.metrics, 20)
    with pytest.raises(NoUsableCheckpoint):
        execute(stopped, "chtexp train data=digits")
    said = chtexp("status", "--failed", f"paths.runs={stopped.paths.runs}").stdout
    assert "go on: chtexp train data=digits overwrite=true\n" in said
