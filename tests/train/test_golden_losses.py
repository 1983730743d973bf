"""A refactor must reproduce the first twenty losses of every method on CPU: images, translation and language modelling.

`WRITE_GOLDEN_LOSSES=1 pytest tests/train/test_golden_losses.py` writes them anew: only when a change of meaning is wanted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.distributed.group import ALONE
from chtexp.run.work import prepared
from chtexp.sparse import method_names

GOLDEN = Path(__file__).with_name("golden_losses.json")
STEPS = 20
METHODS = [name for name in method_names() if name != "static"]


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, list[float]]]:
    """The losses by method; what a writing test puts into it goes into the file."""
    losses = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    yield losses
    if os.environ.get("WRITE_GOLDEN_LOSSES"):
        GOLDEN.write_text(json.dumps(losses, indent=1) + "\n")


def losses(run: Run) -> list[float]:
    """Of the first twenty steps."""
    task, _, training = prepared(run, ALONE, lambda: None)
    values = []
    for step, (part,) in enumerate(islice(task.batches(0), STEPS)):
        for group in training.optimizer.param_groups:
            group["lr"] = training.learning_rate(step)
        loss = task.loss(training.model, part)
        loss.backward()
        training.sparsity.step()
        training.optimizer.zero_grad()
        values.append(loss.item())
    assert len(values) == STEPS
    assert len(training.sparsity.records) >= 2 or run.method.sparsity == 0
    return values


@pytest.mark.parametrize("method", METHODS)
def test_golden_losses(
    method: str,
    golden: dict[str, list[float]],
    small_translation: Callable[..., Run],
    small_text: Callable[..., Run],
    tmp_path: Path,
) -> None:
    sparse = () if method.endswith("fc") else ("method.sparsity=0.7",)
    if method.startswith("llama/"):
        run = small_text(f"method={method}", "task.at_once=8", *sparse)
    elif method.startswith("transformer/"):
        run = small_translation(f"method={method}", "model.dropout=0", "model.attention_dropout=0", *sparse)
    elif method.startswith("cnn/"):
        network = [
            "model=resnet20",
            "model.width=4",
            "model.blocks=[1,1,1]",
            "task.batch_size=32",
            "task.update_steps=5",
        ]
        small = ["data=digits", "budget=smoke", "budget.train_limit=128", "task.epochs=200", "method.sparsity=0.8"]
        run = compose_run([*small, *network, f"method={method}", f"paths.runs={tmp_path}"])
    else:
        sparsity = [] if method == "fc" else ["method.sparsity=0.8"]
        small = [
            "data=digits",
            "model.hidden=[128,128,128]",
            "budget=smoke",
            "budget.train_limit=128",
            "task.epochs=200",
        ]
        run = compose_run([*small, f"method={method}", *sparsity, f"paths.runs={tmp_path}"])
    found = losses(run)
    if os.environ.get("WRITE_GOLDEN_LOSSES"):
        golden[method] = found
    assert found == pytest.approx(golden[method], rel=2e-4)
