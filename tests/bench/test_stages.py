"""Timing the stages of an update: they add up to it, and it does what it does untimed."""

from __future__ import annotations

import time

import pytest
import torch

from chtexp.bench.inputs import random_batches
from chtexp.bench.networks import load_network
from chtexp.bench.stages import STAGES, TimedSparsity
from chtexp.bench.trainer import Trainer, sparse_trainer
from chtexp.sparse import DynamicSparsity, growth, load_method, update


def trained(engine: type[DynamicSparsity], method: str) -> Trainer:
    network = load_network("digits", (48, 48))
    trainer = sparse_trainer(
        network,
        load_method(method, sparsity=0.8, topology="er"),
        "csr",
        "sgd",
        random_batches(network, 8, 0),
        0,
        engine=engine,
        total_steps=100,
        update_interval=5,
    )
    for _ in range(5):
        trainer.step()
    return trainer


@pytest.mark.parametrize("method", ["chts_n", "chts_p", "rigl", "granet"])
def test_a_timed_update_is_the_update(method: str) -> None:
    timed, untimed = trained(TimedSparsity, method).sparsity, trained(DynamicSparsity, method).sparsity
    assert isinstance(timed, TimedSparsity)
    assert untimed
    functions = growth.ch_scores, update.sample_pairs
    start = time.perf_counter()
    record = timed.update_topology()
    seconds = time.perf_counter() - start
    assert (growth.ch_scores, update.sample_pairs) == functions
    assert record == untimed.update_topology()
    for name, mask in timed.masks.items():
        assert torch.equal(mask, untimed.masks[name])
    assert tuple(timed.stages) == STAGES
    assert all(stage >= 0 for stage in timed.stages.values())
    assert sum(timed.stages.values()) == pytest.approx(seconds, rel=0.2)
    assert timed.stages["select"] > 0
    assert (timed.stages["score"] > 0) == method.startswith("chts")
