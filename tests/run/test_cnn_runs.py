"""Runs of CNNs: stopped anywhere, in several processes, in every precision; batch norm remembers what it saw."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from chtexp.config.compose import compose_run
from chtexp.cost.count import cost
from chtexp.run.execute import execute
from chtexp.train.loop import Training

from .test_resume import Stopped, _stop_before_step, timeless, timeless_lines

SMALL = [
    *("data=digits", "budget=smoke", "budget.train_limit=300", "budget.test_limit=100", "method.sparsity=0.7"),
    *("task.batch_size=32", "task.epochs=60"),
]
NETWORKS = {
    "resnet20": ["model=resnet20", "model.width=4", "model.blocks=[1,1]"],
    "vgg16": ["model=vgg16", "model.width=4", "model.stages=[1,2,1]"],
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", ["rigl", "gmp", "cnn/chts_n", "cnn/cht"])
def test_a_stopped_run_ends_where_an_undisturbed_one_ends(
    network: str, method: str, tmp_path: Path, monkeypatch
) -> None:
    words = [*SMALL, *NETWORKS[network], f"method={method}", "checkpoint.steps=1"]
    whole, stopped = (compose_run([*words, f"paths.runs={tmp_path / folder}"]) for folder in ("whole", "stopped"))
    wanted = execute(whole, "undisturbed")
    for stop in (3, 11):
        with monkeypatch.context() as patched:
            _stop_before_step(patched, stop)
            with pytest.raises(Stopped):
                execute(stopped, "stopped")
    assert timeless(execute(stopped, "resumed")) == timeless(wanted)  # state_sha256 among it
    assert timeless_lines(stopped.folder.metrics) == timeless_lines(whole.folder.metrics)
    assert wanted["execution"] == dict.fromkeys(wanted["execution"], "dense")
    assert wanted["parameters"] == cost(whole).parameters
    assert wanted["flops"]["dense"] == pytest.approx(cost(whole).dense_flops)
    assert wanted["flops"]["sparse"] == pytest.approx(cost(whole).sparse_flops, rel=0.02)  # links are whole numbers
    assert wanted["density"] == pytest.approx(0.3, abs=2e-3)


def test_what_batch_norms_remember_decides_the_accuracy_and_is_resumed(tmp_path: Path, monkeypatch) -> None:
    words = [*SMALL, *NETWORKS["resnet20"], "method=set", "checkpoint.steps=1"]
    remembered: dict[str, torch.Tensor] = {}
    evaluate = Training._evaluate

    def looked(self: Training):
        record = evaluate(self)
        remembered.update({name: value.clone() for name, value in self.model.named_buffers()})
        assert self.model.training
        return record

    monkeypatch.setattr(Training, "_evaluate", looked)
    execute(compose_run([*words, f"paths.runs={tmp_path / 'whole'}"]), "")
    whole = dict(remembered)
    assert {name.rpartition(".")[2] for name in whole} == {"running_mean", "running_var", "num_batches_tracked"}
    assert {int(value) for name, value in whole.items() if name.endswith("tracked")} == {20}
    assert not any((value == 0).all() for name, value in whole.items() if name.endswith("mean"))
    remembered.clear()
    run = compose_run([*words, f"paths.runs={tmp_path / 'stopped'}"])
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 7)
        with pytest.raises(Stopped):
            execute(run, "")
    execute(run, "")
    assert all(torch.equal(remembered[name], value) for name, value in whole.items())


@pytest.mark.parametrize("precision", ["bf16", "pure_bf16", "fp16"])
def test_in_half_precision(precision: str, tmp_path: Path) -> None:
    words = [*SMALL, *NETWORKS["vgg16"], "method=granet", f"hardware.precision={precision}", f"paths.runs={tmp_path}"]
    run = compose_run(words)
    assert execute(run, "")["density"] == pytest.approx(0.3, abs=2e-3)


def test_validation_selects_and_features_of_images_are_not_asked_for(tmp_path: Path) -> None:
    words = [*SMALL, *NETWORKS["resnet20"], "method=cnn/chtss_p", "task.selection=validation", f"paths.runs={tmp_path}"]
    result = execute(compose_run(words), "")
    assert result["selected_by"] == "validation_accuracy"
    assert result["reported"] is not None


def _started(folder: Path, *more: str) -> subprocess.Popen[str]:
    words = [*SMALL, *NETWORKS["resnet20"], "method=rigl", f"paths.runs={folder}", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "chtexp", "train", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["cpu", "ddp"])
def test_killed_and_resumed_to_the_same_end(hardware: str, tmp_path: Path) -> None:
    """In two processes each batch norm sees half of a batch; what the leader's remember is evaluated and saved."""
    more = [f"hardware={hardware}", "task.epochs=600", "checkpoint.steps=20"]
    process = _started(tmp_path / "killed", *more)
    deadline = time.monotonic() + 100
    while not list((tmp_path / "killed").glob("*/seed-0/checkpoints/*.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(2)  # ranks that are alone save, and stop
    ends = {}
    for folder in ("killed", "whole"):
        said, _ = _started(tmp_path / folder, *more).communicate(timeout=200)
        (path,) = (tmp_path / folder).glob("*/seed-0/result.json")
        ends[folder] = timeless(json.loads(path.read_text()))
        assert ("resuming" in said) == (folder == "killed")
    assert ends["killed"] == ends["whole"]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_last_batch_of_one_image_trains_as_well(processes: int, tmp_path: Path) -> None:
    """VGG's last norms see one pixel of one image there: no statistics, so they take those that they have."""
    words = [
        "data=digits",
        "budget=smoke",
        "budget.test_limit=50",
        "method=set",
        "method.sparsity=0.7",
        "task.epochs=60",
    ]
    last = [f"budget.train_limit={64 + processes}", "task.batch_size=32", f"hardware.processes={processes}"]
    small = ["model=vgg16", "model.width=4", "model.stages=[1,1,1,1]", "hardware.threads=1"]
    result = execute(compose_run([*words, *last, *small, f"paths.runs={tmp_path}"]), "one image")
    assert isinstance(result["last"], float)
