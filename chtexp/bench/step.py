"""`bench step`: milliseconds of one training step of a network, dense, masked, and by its links alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from chtexp.bench.inputs import random_batches
from chtexp.bench.machine import devices
from chtexp.bench.measure import Candidate, Spread, interleave
from chtexp.bench.networks import Network, NetworkSettings, load_network
from chtexp.bench.outcome import Column, Findings, Row
from chtexp.bench.progress import say
from chtexp.bench.settings import TimedSettings
from chtexp.bench.trainer import KINDS, Kind, Trainer, trainer_of

MILLISECONDS = 1000
BOOKKEEPING_BAR = 3  # percent of a step
BOOKKEEPING_ROUNDS = 10  # times those of steps: a small difference of large numbers

COLUMNS = (
    Column("network", "network"),
    Column("density", "density"),
    Column("device", "device"),
    Column("candidate", "candidate"),
    Column("ms a step", "ms"),
    Column("plain / x", "ratio"),
    Column("fused / x", "ratio_to_fused"),
    Column("bookkeeping %", "bookkeeping_percent"),
)
NOTES = (
    "plain: nn.Linear and torch's optimizer as they come; fused: the same with the fused optimizer, as experiments train "
    "dense networks; dense: masked matrices; csr: the links alone. Random masks that never change, random inputs.",
    "ms a step: median and quartiles over rounds, all candidates of a density in turn; plain / x: how many times faster than "
    "plain, within rounds.",
    f"bookkeeping: what apply_gradients costs beyond optimizer.step() and masking, of the step (bar: {BOOKKEEPING_BAR}%).",
)


class StepSettings(NetworkSettings, TimedSettings):
    """What `bench step` measures: which networks, and how long."""


def measure_step(settings: StepSettings) -> Findings:
    """Measure every network, density and device; the candidates take turns."""
    rows = []
    for name in settings.networks:
        network = load_network(name, settings.hidden)
        for density in settings.density:
            for device in devices():
                say(f"{network.name} {network.widths}, density {density:g}, {device.type}")
                rows += _compare(network, density, device, settings)
    return Findings(rows, COLUMNS, NOTES)


def _compare(network: Network, density: float, device: torch.device, settings: StepSettings) -> list[Row]:
    batches = random_batches(network, settings.batch, settings.seed, device)
    kinds: Sequence[Kind] = KINDS if device.type == "cpu" else KINDS[:3]  # csr is for a CPU
    trainers = {
        kind: trainer_of(kind, network, density, settings.optimizer, batches, settings.seed, device) for kind in kinds
    }
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    measured = interleave(
        [Candidate(kind, trainer.step, finish) for kind, trainer in trainers.items()],
        rounds=settings.rounds,
        seconds=settings.seconds,
    )
    step_seconds = measured.spread("dense").median
    bookkeeping = _bookkeeping(trainers["dense"], step_seconds, finish, settings)
    return [
        {
            "network": network.name,
            "widths": network.widths,
            "density": density,
            "device": device.type,
            "candidate": kind,
            "ms": measured.spread(kind, MILLISECONDS),
            "ratio": measured.ratio(kind, baseline="plain"),
            "ratio_to_fused": measured.ratio(kind, baseline="fused"),
            "bookkeeping_percent": bookkeeping if kind == "dense" else None,
        }
        for kind in kinds
    ]


def _bookkeeping(trainer: Trainer, step_seconds: float, finish: Callable[[], object], settings: StepSettings) -> Spread:
    """Percent of a step that `apply_gradients` takes beyond the optimizer's step and one masking of the gradients."""
    sparsity, optimizer = trainer.sparsity, trainer.optimizer
    assert sparsity is not None
    trainer.backward()
    gradients = [layer.weight.grad for layer in sparsity.layers if layer.weight.grad is not None]
    factors = [layer.factor for layer in sparsity.layers]

    @torch.no_grad()
    def bare() -> None:
        torch._foreach_mul_(gradients, factors)
        optimizer.step()

    measured = interleave(
        [Candidate("bare", bare, finish), Candidate("apply_gradients", sparsity.apply_gradients, finish)],
        rounds=BOOKKEEPING_ROUNDS * settings.rounds,
        seconds=settings.seconds,
    )
    return measured.excess("apply_gradients", over="bare", factor=100 / step_seconds)
