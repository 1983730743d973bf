"""`bench memory`: bytes that a network in training holds, by what they are for, and what one step allocates.

Counted from the tensors themselves, after some steps and with gradients, before the optimizer's step drops them.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from chtexp.bench.allocations import allocations
from chtexp.bench.inputs import random_batches
from chtexp.bench.networks import Network, NetworkSettings, load_network
from chtexp.bench.outcome import Column, Findings, megabytes
from chtexp.bench.progress import say
from chtexp.bench.settings import PositiveInt
from chtexp.bench.tensors import Bytes
from chtexp.bench.trainer import Kind, Trainer, trainer_of
from chtexp.sparse.csr import CsrLinear

PARTS = ("parameters", "gradients", "optimizer", "indices", "masks", "history")
COLUMNS = (
    Column("network", "network"),
    Column("density", "density"),
    Column("candidate", "candidate"),
    Column("of", "scope"),
    *(Column(part, f"{part}_bytes", megabytes) for part in PARTS),
    Column("total MB", "bytes", megabytes),
    Column("x / plain", "ratio"),
    Column("largest allocation", "largest_allocation_bytes", megabytes),
    Column("allocated a step", "allocated_bytes", megabytes),
)
NOTES = (
    "MB (10^6 bytes). indices: the links' places by row and by column; masks: of bool and of the weight's type; history: which "
    "pairs were ever a link, what absent ones last weighed.",
    "x / plain: share of what the ordinary dense network holds. Allocations: by torch and numpy, during one whole step; not "
    "what libraries below them take, nor the lists of all pairs that kernels keep for small dense maps.",
)


class MemorySettings(NetworkSettings):
    """As of networks. steps: of training before anything is counted."""

    steps: PositiveInt = 3


def measure_memory(settings: MemorySettings) -> Findings:
    """Every network: plain once, masked and by links at every density."""
    rows = []
    for name in settings.networks:
        network = load_network(name, settings.hidden)
        plain = _count("plain", network, None, settings)
        counted = [*plain]
        for density in settings.density:
            for kind in ("dense", "csr"):
                counted += _count(kind, network, density, settings)
        whole = {row["scope"]: row["bytes"] for row in plain}
        rows += [{**row, "ratio": row["bytes"] / whole[row["scope"]]} for row in counted]
    return Findings(rows, COLUMNS, NOTES)


def _count(kind: Kind, network: Network, density: float | None, settings: MemorySettings) -> list[dict[str, Any]]:
    say(f"{network.name} {network.widths}: {kind}" + ("" if density is None else f", density {density:g}"))
    batches = random_batches(network, settings.batch, settings.seed)
    trainer = trainer_of(kind, network, density or 1.0, settings.optimizer, batches, settings.seed)
    for _ in range(settings.steps):
        trainer.step()
    allocated = allocations(trainer.step)
    trainer.backward()
    scopes = {"sparse layers": trainer.sparse_layers, "model": [trainer.model]}
    rows = []
    for scope, modules in scopes.items():
        parts = held(trainer, modules)
        rows.append(
            {
                "network": network.name,
                "widths": network.widths,
                "density": density,
                "candidate": kind,
                "scope": scope,
                **{f"{part}_bytes": count for part, count in parts.items()},
                "bytes": sum(parts.values()),
                "largest_allocation_bytes": max(allocated) if scope == "model" else None,
                "allocated_bytes": sum(allocated) if scope == "model" else None,
            }
        )
    return rows


def held(trainer: Trainer, modules: list[nn.Module]) -> dict[str, int]:
    """Bytes of everything that `modules` in training hold, by PARTS."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    linears = [part for module in modules for part in module.modules() if isinstance(part, CsrLinear)]
    layers = [vars(layer) for layer in trainer.sparsity.layers] if trainer.sparsity else []
    count = Bytes()
    return {
        "parameters": count.of(parameters),
        "gradients": count.of(parameter.grad for parameter in parameters),
        "optimizer": count.of(trainer.optimizer.state.get(parameter, {}) for parameter in parameters),
        "indices": count.of(linear.compressed for linear in linears),
        "masks": count.of(value for layer in layers for name, value in layer.items() if _is_mask(name)),
        "history": count.of(value for layer in layers for name, value in layer.items() if not _is_mask(name)),
    }


def _is_mask(name: str) -> bool:
    return "mask" in name or "factor" in name
