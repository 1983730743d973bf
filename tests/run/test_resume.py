"""A run that was stopped anywhere ends where an undisturbed one ends, bit for bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.errors import Unavailable
from chtexp.run.execute import execute
from chtexp.sparse import method_names
from chtexp.store import condition
from chtexp.tasks import ImageClassification
from chtexp.train.checkpoint import Checkpoints
from chtexp.train.loop import Training

CLOCK = ("seconds", "environment", "command")


def timeless(result: dict) -> dict:
    return {key: value for key, value in result.items() if key not in CLOCK}


def timeless_lines(path: Path) -> list[dict]:
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


class Stopped(BaseException):
    """Ends a training from outside, as a signal would."""


@pytest.mark.parametrize("method", [name for name in method_names() if "/" not in name])
def test_every_method_resumes_bit_for_bit_from_any_step(method: str, tmp_path: Path, monkeypatch) -> None:
    sparsity = [] if method == "fc" else ["method.sparsity=0.8"]
    small = [
        "data=digits",
        "budget=smoke",
        "model.hidden=[40,40,40]",
        "budget.train_limit=160",
        "checkpoint.steps=1",
    ]
    describe = lambda folder: compose_run([*small, f"method={method}", *sparsity, f"paths.runs={tmp_path / folder}"])  # noqa: E731
    whole = describe("whole")
    wanted = execute(whole, "undisturbed")
    stop_at = random.Random(method).sample(range(1, wanted["steps"]), 3)
    evaluate = Training._mean_loss
    stopped = describe("stopped")
    for stop in sorted(stop_at):
        with monkeypatch.context() as patched:
            _stop_before_step(patched, stop)
            with pytest.raises(Stopped):
                execute(stopped, "stopped")
        assert condition(stopped.folder).state == "failed"
    assert Training._mean_loss is evaluate
    assert timeless(execute(stopped, "resumed")) == timeless(wanted)
    assert timeless_lines(stopped.folder.metrics) == timeless_lines(whole.folder.metrics)
    assert "resuming" in stopped.folder.log.read_text()


def _stop_before_step(patched: pytest.MonkeyPatch, stop: int) -> None:
    from chtexp.sparse import DynamicSparsity

    apply = DynamicSparsity.apply_gradients

    def apply_or_stop(self: DynamicSparsity, *step: Callable[[], object]) -> None:
        if self.steps == stop:
            raise Stopped
        apply(self, *step)

    patched.setattr(DynamicSparsity, "apply_gradients", apply_or_stop)


@pytest.mark.parametrize("overflow", [1, 3])
def test_fp16_passes_over_a_step_that_overflows_and_resumes_bit_for_bit(
    overflow: int, small_run: Callable[..., Run], tmp_path: Path, monkeypatch
) -> None:
    overrides = ["method=rigl", "hardware.precision=fp16", "task.epochs=200", "checkpoint.steps=1"]
    whole, stopped = (small_run(*overrides, f"paths.runs={tmp_path / name}") for name in ("whole", "stopped"))
    loss = ImageClassification.loss

    def overflowing(self, model, batch):
        overflowing.calls += 1
        return loss(self, model, batch) * (1e36 if overflowing.calls == overflow else 1.0)

    overflowing.calls = 0
    monkeypatch.setattr(ImageClassification, "loss", overflowing)
    wanted = execute(whole, "test")
    assert whole.folder.read_metrics()[-1]["train_loss"] < 2.25  # of 2.28, in 27 steps
    state = Checkpoints(whole.folder.checkpoints, print).load(torch.device("cpu"))
    assert state is not None
    assert state["training"]["scaler"]["scale"] == 2.0**15  # halved once
    overflowing.calls = 0
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 8)
        with pytest.raises(Stopped):
            execute(stopped, "stopped")
    state = Checkpoints(stopped.folder.checkpoints, print).load(torch.device("cpu"))
    overflowing.calls = (
        state["training"]["step"] if state else 0
    )  # a busy writer passes checkpoints over: it may go on from before
    assert timeless(execute(stopped, "resumed")) == timeless(wanted)


@pytest.mark.parametrize("kill_seed", range(2))
def test_kill_9_at_random_moments_changes_nothing(kill_seed: int, tmp_path: Path) -> None:
    moments = random.Random(kill_seed)
    overrides = [
        "data=digits", "method=chtss_n", "method.sparsity=0.9", "budget=smoke", "task.epochs=400", "model.hidden=[64,64]",
        "hardware.threads=1", "checkpoint.seconds=0.2",
    ]  # fmt: skip
    command = [sys.executable, "-m", "chtexp", "train", *overrides]

    def start(folder: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "CHTEXP_RUNS": str(tmp_path / folder)}
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)

    def run(folder: str) -> Run:
        return compose_run([*overrides, f"paths.runs={tmp_path / folder}"])

    assert start("whole").wait() == 0
    killed = 0
    for _ in range(3):
        process = start("killed")
        time.sleep(moments.uniform(1.0, 6.0))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert start("killed").wait() == 0
    whole, again = run("whole").folder, run("killed").folder
    assert timeless(again.read_result()) == timeless(whole.read_result())
    assert timeless_lines(again.metrics) == timeless_lines(whole.metrics)
    assert killed, "no kill hit a living process"


def test_a_finished_run_is_passed_over_and_trained_again_on_request(small_run: Callable[..., Run], capsys) -> None:
    run = small_run("method=set")
    first = execute(run, "first")
    written = run.folder.result.stat().st_mtime_ns
    assert execute(run, "second") == first
    assert run.folder.result.stat().st_mtime_ns == written
    assert "done already" in capsys.readouterr().out
    again = execute(run.model_copy(update={"overwrite": True}), "third")
    assert again["command"] == "third"
    assert timeless(again) == timeless(first)


def test_a_checkpoint_of_another_run_is_not_resumed_from(small_run: Callable[..., Run], tmp_path: Path) -> None:
    other, mine = small_run("method=set", "checkpoint.steps=1"), small_run("method=set", "method.zeta=0.9")
    execute(other, "test")
    shutil.copytree(other.folder.path, mine.folder.path, ignore=shutil.ignore_patterns("result.json", "starts"))
    with pytest.raises(Unavailable, match=r"is of another run.*; overwrite=true"):
        execute(mine, "test")
    assert mine.folder.finished() is None
