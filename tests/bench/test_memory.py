"""Memory counts by hand: bytes of a network of 64-48-48-10 on digits, float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chtexp.bench.allocations import allocations
from chtexp.bench.inputs import random_batches
from chtexp.bench.memory import held
from chtexp.bench.networks import load_network
from chtexp.bench.tensors import Bytes
from chtexp.bench.trainer import Kind, Trainer, trainer_of

HIDDEN = (48, 48)
PAIRS = (48 * 64, 48 * 48)
BIASES = 48 + 48


def trained(kind: Kind, optimizer: str = "sgd") -> Trainer:
    network = load_network("digits", HIDDEN)
    trainer = trainer_of(kind, network, 0.25, optimizer, random_batches(network, 8, 0), 0)  # type: ignore[arg-type]
    trainer.step()
    trainer.backward()
    return trainer


@pytest.mark.parametrize(("optimizer", "buffers", "counters"), [("sgd", 1, 0), ("adam", 2, 1)])
def test_a_plain_network_holds_weights_gradients_and_moments(optimizer: str, buffers: int, counters: int) -> None:
    trainer = trained("plain", optimizer)
    parameters = 4 * (sum(PAIRS) + BIASES)
    assert held(trainer, trainer.sparse_layers) == {
        "parameters": parameters,
        "gradients": parameters,
        "optimizer": buffers * parameters + counters * 4 * 4,  # Adam counts steps in one float a tensor
        "indices": 0,
        "masks": 0,
        "history": 0,
    }
    assert held(trainer, [trainer.model])["parameters"] == parameters + 4 * (48 * 10 + 10)


def test_a_masked_network_holds_its_masks_besides() -> None:
    trainer = trained("dense")
    found, plain = held(trainer, trainer.sparse_layers), held(trained("plain"), trained("plain").sparse_layers)
    assert {part: found[part] for part in ("parameters", "gradients")} == {
        part: plain[part] for part in ("parameters", "gradients")
    }
    assert found["masks"] == (1 + 4) * sum(PAIRS)  # as bool, and of the weight's type
    assert found["history"] == sum(PAIRS) // 8  # a bit a pair: was it ever a link


def test_links_alone_hold_eight_bytes_of_weight_and_momentum_a_link() -> None:
    trainer = trained("csr")
    links = sum(PAIRS) // 4
    found = held(trainer, trainer.sparse_layers)
    assert found["parameters"] == found["gradients"] == found["optimizer"] == 4 * (links + BIASES)
    starts = sum(4 * (outputs + 1 + inputs + 1) for outputs, inputs in ((48, 64), (48, 48)))
    assert found["indices"] == (4 + 4 + 4) * links + starts  # column; row and order by column
    assert found["masks"] == 0
    assert found["history"] == sum(PAIRS) // 8


def test_memory_that_two_tensors_look_at_counts_once() -> None:
    tensor, count = torch.zeros(100), Bytes()
    assert count.of({"all": tensor, "part": [tensor[:10], torch.zeros(5)]}) == 400 + 20
    assert count.of(tensor) == 0


def test_allocations_of_torch_and_numpy_are_counted(capfd) -> None:
    ones = torch.ones(1000)
    found = allocations(lambda: (ones + 1, np.empty(500, np.float32)))
    assert sorted(found)[-2:] == [2000, 4000]
    assert not capfd.readouterr().err
    assert np.empty.__module__ == "numpy"
