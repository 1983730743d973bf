"""The main job on the real MNIST, where CHTEXP_DATA holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.run.execute import execute
from chtexp.sparse import method_names
from chtexp.train.checkpoint import Checkpoints

needs_data = pytest.mark.skipif("CHTEXP_DATA" not in os.environ, reason="CHTEXP_DATA does not say where MNIST lies")


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_chts_learns_mnist_at_99_percent_sparsity_in_two_epochs(small_run: Callable[..., Run]) -> None:
    run = small_run(
        "data=mnist", "budget.train_limit=null", "budget.test_limit=null", "budget.fraction=0.02",
        "model.hidden=[1568,1568,1568]", "method=chts_n", "method.sparsity=0.99", "hardware.threads=2",
    )  # fmt: skip
    result = execute(run, "test")
    assert result["links"] == 2 * 24586 + 12293
    assert result["best"] > 96.5


@needs_data
@pytest.mark.slow
def test_cifar_trains_with_crop_and_flip_from_parquet(small_run: Callable[..., Run]) -> None:
    result = execute(
        small_run("data=cifar10", "method=chts_n", "budget.train_limit=640", "model.hidden=[64,64]"), "test"
    )
    assert "parquet" in result["data_source"]
    assert result["steps"] == 60


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in method_names() if name != "fc" and "/" not in name])
def test_a_smoke_run_on_mnist_is_the_same_in_both_executions(method: str, tmp_path: Path) -> None:
    """At a tenth of the learning rate: at the paper's, the first steps of CHTss amplify any rounding.

    There a change of 2e-7 in the first weights changes its loss by 3e-2 after 40 steps, in either execution.
    """
    results, records, masks = [], [], []
    for execution in ("dense", "csr"):
        run = compose_run(
            ["data=mnist", f"method={method}", "budget=smoke", "hardware.threads=1", f"hardware.execution={execution}",
             f"paths.runs={tmp_path}/{execution}", "task.learning_rate.start=0.0025"]
        )  # fmt: skip
        results.append(execute(run, "test"))
        records.append([json.loads(line) for line in run.folder.metrics.read_text().splitlines()])
        layers = Checkpoints(run.folder.checkpoints, print).load(torch.device("cpu"))["training"]["sparsity"]["layers"]
        masks.append({name: layer["mask"] for name, layer in layers.items()})
    assert set(results[0]["execution"].values()) == {"dense"}
    assert set(results[1]["execution"].values()) == {"csr"}
    for name, mask in masks[0].items():
        assert torch.equal(mask, masks[1][name])
    assert results[0]["links"] == results[1]["links"]
    for dense, csr in zip(*records, strict=True):
        if dense["kind"] == "update":
            assert dense == csr
        else:
            assert csr["train_loss"] == pytest.approx(dense["train_loss"], rel=1e-4)
            assert csr["accuracy"] == pytest.approx(dense["accuracy"], abs=0.11)  # two test images
