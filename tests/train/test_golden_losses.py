"""A refactor must reproduce the first twenty losses of a few methods on CPU (8x8 digits, 64-128-128-128-10).

Written by `python tests/train/test_golden_losses.py`; write them anew only when a change of meaning is wanted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from chtexp.compose import compose_run
from chtexp.data import load_images
from chtexp.sparse import DynamicSparsity
from chtexp.tasks import ImageClassification

GOLDEN = Path(__file__).with_name("golden_losses.json")
STEPS, INTERVAL = 20, 5
METHODS = ("fc", "set", "rigl", "cht", "chts_n", "chts_p", "chtss_n", "gmp", "granet", "mest_ems")


def losses(method: str) -> list[float]:
    """Losses of the first twenty steps, with a topology update every five."""
    sparsity = [] if method == "fc" else ["method.sparsity=0.8"]
    run = compose_run(["data=digits", f"method={method}", "model.hidden=[128,128,128]", *sparsity, "budget=smoke"])
    device, family = torch.device("cpu"), run.family
    task = ImageClassification(run.task, run.data, run.budget, load_images("digits", None), seed=0, device=device)
    built = family.build_model(run)
    optimizer = family.build_optimizer(run.task, built.model)
    sparsity_ = DynamicSparsity(
        built.model,
        optimizer,
        run.method,
        total_steps=STEPS,
        update_interval=INTERVAL,
        seed=0,
        layers=built.sparse_layers,
        chains=built.chains,
        features=task.features(),
    )
    values = []
    for _, (batch,) in zip(range(STEPS), task.batches(0), strict=False):
        loss = task.loss(built.model, batch)
        loss.backward()
        sparsity_.step()
        optimizer.zero_grad()
        values.append(loss.item())
    return values


@pytest.mark.parametrize("method", METHODS)
def test_golden_losses(method: str) -> None:
    assert losses(method) == pytest.approx(json.loads(GOLDEN.read_text())[method], rel=2e-4)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({method: losses(method) for method in METHODS}, indent=1) + "\n")
    sys.stdout.write(f"written: {GOLDEN}\n")
