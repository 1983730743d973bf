"""Weights & Biases: what its file holds is what the run's folder holds, also of runs that were stopped, and it costs nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wandb.proto import wandb_internal_pb2

from chtexp.config.run import Run
from chtexp.run.curves import curves
from chtexp.run.execute import execute
from chtexp.run.mirrors.wandb import WandbMirror

from .test_resume import Stopped, _stop_before_step, timeless

PLAIN = ("method=set", "hardware.execution=dense")
WANDB = (*PLAIN, "logger=wandb", "checkpoint.steps=1")


@pytest.fixture(autouse=True)
def _no_wandb_of_ones_own(monkeypatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_RUN_ID", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))


def written(run: Run) -> list[wandb_internal_pb2.Record]:
    """What W&B holds of the run: the records of its one file."""
    (path,) = run.folder.path.glob("wandb/offline-run-*/run-*.wandb")
    records = []
    for data in log_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        records.append(record)
    return records


def log_records(data: bytes) -> Iterator[bytes]:
    """Blocks of 32 KiB hold pieces with a header of seven bytes: checksum (4), length (2), type (1, 4: last, 1: whole)."""
    at, block, piece = 7, 32768, b""  # seven bytes identify the file
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        piece += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield piece
            piece = b""


def history(run: Run) -> list[dict]:
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in written(run)
        if record.HasField("history")
    ]


def assert_holds_what_the_folder_holds(run: Run) -> None:
    rows = history(run)
    steps = [row["_step"] for row in rows]
    assert steps == sorted(set(steps))
    for kind, keys in (("evaluation", ("accuracy", "density", "seconds")), ("update", ("density", "overlap", "itop"))):
        of_kind = [record for record in run.folder.read_metrics() if record["kind"] == kind]
        assert of_kind
        for key in keys:
            mirrored = [(row["_step"], row[f"{kind}/{key}"]) for row in rows if f"{kind}/{key}" in row]
            assert mirrored == [(record["step"], record[key]) for record in of_kind if record[key] is not None]
    layered = [key for row in rows for key in row if key.startswith("update/layers/")]
    assert layered


def test_a_run_that_was_stopped_has_one_history(small_run: Callable[..., Run], monkeypatch) -> None:
    run = small_run(*WANDB)
    for stop in (2, 7):
        with monkeypatch.context() as patched:
            _stop_before_step(patched, stop)
            with pytest.raises(Stopped):
                execute(run, "stopped")
        assert len(list(run.folder.path.glob("wandb/offline-run-*"))) == 1
    result = execute(run, "resumed")
    assert result["steps"] == 15
    assert_holds_what_the_folder_holds(run)
    assert {record.run.run_id for record in written(run) if record.HasField("run")} == {f"{run.id}-seed0"}
    assert "left off" not in run.folder.log.read_text()
    assert timeless(result) == timeless(execute(small_run(*PLAIN, f"paths.runs={run.folder.path}/other"), "plain"))


def test_a_disabled_mirror_keeps_what_former_starts_wrote(small_run: Callable[..., Run], monkeypatch) -> None:
    run = small_run(*WANDB)
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 7)
        with pytest.raises(Stopped):
            execute(run, "stopped")
    before = history(run)
    execute(small_run(*WANDB, "logger.mode=disabled"), "resumed")
    assert before == history(run)
    assert "left off" not in run.folder.log.read_text()


def test_records_after_the_last_checkpoint_are_not_doubled(small_run: Callable[..., Run], monkeypatch) -> None:
    run = small_run(*PLAIN, "logger=wandb", "checkpoint.steps=4")
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 7)  # the checkpoint is of step 4, and what step 5 said is said again
        with pytest.raises(Stopped):
            execute(run, "stopped")
    execute(run, "resumed")
    assert_holds_what_the_folder_holds(run)


def test_tables_and_a_figure_are_logged_at_the_end(small_run: Callable[..., Run]) -> None:
    run = small_run(*WANDB)
    result = execute(run, "command")
    last = history(run)[-1]
    (folder,) = run.folder.path.glob("wandb/offline-run-*")
    tables = {
        name: json.loads((folder / "files" / last[f"{name}/path"]).read_text())
        for name in ("result", "evaluations", "updates")
    }
    assert dict(tables["result"]["data"])["reported"] == str(result["reported"])
    evaluations = [record for record in run.folder.read_metrics() if record["kind"] == "evaluation"]
    columns = tables["evaluations"]["columns"]
    assert [row[columns.index("accuracy")] for row in tables["evaluations"]["data"]] == [
        e["accuracy"] for e in evaluations
    ]
    assert len(tables["updates"]["data"]) == len(run.folder.read_metrics()) - len(evaluations)
    assert (folder / "files" / last["curves/path"]).stat().st_size > 10_000


def test_a_run_that_is_begun_anew_is_another_of_wandbs(small_run: Callable[..., Run]) -> None:
    execute(small_run(*WANDB), "command")
    run = small_run(*WANDB, "overwrite=true")
    execute(run, "again")
    (name,) = {record.run.run_id for record in written(run) if record.HasField("run")}
    assert name.startswith(f"{run.id}-seed0-anew")
    assert_holds_what_the_folder_holds(run)


@pytest.mark.parametrize("part", ["__init__", "record", "finish"])
def test_a_failure_of_wandb_costs_the_run_nothing(part: str, small_run: Callable[..., Run], monkeypatch) -> None:
    def fail(*ignored: object) -> None:
        raise ConnectionError("no such host")

    monkeypatch.setattr(WandbMirror, part, fail)
    run = small_run(*WANDB)
    result = execute(run, "command")
    assert "the mirror failed and is left off (ConnectionError: no such host)" in run.folder.log.read_text()
    monkeypatch.undo()
    assert timeless(result) == timeless(execute(small_run(*PLAIN, f"paths.runs={run.folder.path}/other"), "plain"))


def test_a_task_that_tests_once_has_its_validation_loss_drawn() -> None:
    records = [{"kind": "evaluation", "step": 1, "train_loss": 2.0, "validation_loss": 3.0, "density": 0.1, "anp": 1.0}]
    assert curves(records, "bleu").width == 1500
