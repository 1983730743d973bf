"""`bench memory`: bytes that a network in training holds, by what they are for, and what one step allocates.

Counted from the tensors themselves, after some steps and with gradients, before the optimizer's step drops them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from chtexp.bench.allocations import allocations
from chtexp.bench.inputs import random_batches
from chtexp.bench.networks import Network, NetworkSettings, load_network
from chtexp.bench.outcome import Column, Findings, Row, megabytes
from chtexp.bench.progress import say
from chtexp.bench.settings import PositiveInt
from chtexp.bench.tensors import Bytes
from chtexp.bench.trainer import Kind, Trainer, trainer_of
from chtexp.sparse.cpu.csr import CsrLinear

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
    """What `bench memory` measures.

    Attributes:
        steps: of training before anything is counted.
    """

    steps: PositiveInt = 3


@dataclass(frozen=True)
class _Counted:
    """One network in training.

    Attributes:
        kind: how it is executed.
        network: its description.
        density: of its sparse layers; None: dense.
        held: bytes by PARTS, of the sparse layers and of the whole model.
        allocated: bytes of each allocation of one step.
    """

    kind: Kind
    network: Network
    density: float | None
    held: Mapping[str, Mapping[str, int]]
    allocated: Sequence[int]

    def bytes(self, scope: str) -> int:
        """The bytes of all parts together."""
        return sum(self.held[scope].values())

    def rows(self, plain: _Counted) -> list[Row]:
        """A row for each scope, beside what the ordinary dense network holds."""
        return [
            {
                "network": self.network.name,
                "widths": self.network.widths,
                "density": self.density,
                "candidate": self.kind,
                "scope": scope,
                **{f"{part}_bytes": count for part, count in parts.items()},
                "bytes": self.bytes(scope),
                "largest_allocation_bytes": max(self.allocated) if scope == "model" else None,
                "allocated_bytes": sum(self.allocated) if scope == "model" else None,
                "ratio": self.bytes(scope) / plain.bytes(scope),
            }
            for scope, parts in self.held.items()
        ]


def measure_memory(settings: MemorySettings) -> Findings:
    """Count the bytes of every network: plain once, masked and by links alone at every density."""
    rows: list[Row] = []
    for name in settings.networks:
        network = load_network(name, settings.hidden)
        plain = _count("plain", network, None, settings)
        rows += plain.rows(plain)
        for density in settings.density:
            for kind in ("dense", "csr"):
                rows += _count(kind, network, density, settings).rows(plain)
    return Findings(rows, COLUMNS, NOTES)


def _count(kind: Kind, network: Network, density: float | None, settings: MemorySettings) -> _Counted:
    say(f"{network.name} {network.widths}: {kind}" + ("" if density is None else f", density {density:g}"))
    batches = random_batches(network, settings.batch, settings.seed)
    trainer = trainer_of(kind, network, density or 1.0, settings.optimizer, batches, settings.seed)
    for _ in range(settings.steps):
        trainer.step()
    allocated = allocations(trainer.step)
    trainer.backward()
    scopes = {"sparse layers": trainer.sparse_layers, "model": [trainer.model]}
    return _Counted(
        kind, network, density, {scope: held(trainer, modules) for scope, modules in scopes.items()}, allocated
    )


def held(trainer: Trainer, modules: list[nn.Module]) -> dict[str, int]:
    """Count what modules in training hold.

    Args:
        trainer: the training.
        modules: of its model.

    Returns:
        Bytes by PARTS.
    """
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
