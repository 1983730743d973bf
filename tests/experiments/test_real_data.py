"""The main job on the real MNIST, where CHTEXP_DATA holds it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from chtexp.experiments.description import Run
from chtexp.experiments.run import execute

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
