"""One network in training, to be timed: a step as `chtexp.train.loop` makes it, or as plain torch does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.bench.inputs import Batch
from chtexp.bench.networks import Network, OptimizerName, build_optimizer
from chtexp.config.method import Method, load_method
from chtexp.sparse import Choice, DynamicSparsity
from chtexp.sparse.wiring import sparse_layers
from chtexp.system.kernels_cache import threads_for_kernels
from chtexp.tasks import Built

Kind = Literal["plain", "fused", "dense", "csr"]
KINDS: tuple[Kind, ...] = ("plain", "fused", "dense", "csr")
NEVER = 10**9  # steps: no topology update falls into a measurement that wants none


class Trainer:
    """A model and its optimizer, to be trained step by step.

    Args:
        built: the model, and which of its layers may be sparse.
        optimizer: of its parameters.
        sparsity: between the two; None: an ordinary dense network.
        batches: inputs and labels, seen again and again.

    Attributes:
        sparse_layers: the modules that are, or in an ordinary network could be, sparse.
    """

    def __init__(
        self,
        built: Built,
        optimizer: torch.optim.Optimizer,
        sparsity: DynamicSparsity | None,
        batches: Sequence[Batch],
    ) -> None:
        self.model, self.optimizer, self.sparsity = built.model, optimizer, sparsity
        self.sparse_layers: list[nn.Module] = list(sparse_layers(built.model, built.sparse_layers).values())
        self._batches = cycle(batches)
        self._apply = sparsity.apply_gradients if sparsity else optimizer.step
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step(self) -> None:
        """Make one step: forward, cross-entropy, backward, optimizer; then drop the gradients."""
        with threads_for_kernels(self.sparsity is not None and self.sparsity.on_kernels):
            self.backward()
            self._apply()
            for parameter in self._trained:
                parameter.grad = None

    def backward(self) -> None:
        """Make the first half of a step: compute the gradients of the next batch's loss."""
        inputs, labels = next(self._batches)
        cross_entropy(self.model(inputs), labels).backward()


def plain_trainer(
    network: Network,
    optimizer: OptimizerName,
    batches: Sequence[Batch],
    seed: int,
    device: torch.device | str = "cpu",
    *,
    fused: bool = True,
) -> Trainer:
    """Build an ordinary network of `nn.Linear`s, which nothing of this project touches.

    Args:
        network: its description.
        optimizer: its name.
        batches: inputs and labels.
        seed: of the weights.
        device: where it trains.
        fused: whether the optimizer is fused.
    """
    built = network.build(seed)
    built.model.to(device)
    return Trainer(built, build_optimizer(optimizer, built.model, fused=fused), None, batches)


def sparse_trainer(
    network: Network,
    method: Method,
    execution: Choice,
    optimizer: OptimizerName,
    batches: Sequence[Batch],
    seed: int,
    device: torch.device | str = "cpu",
    *,
    engine: type[DynamicSparsity] = DynamicSparsity,
    total_steps: int = NEVER,
    update_interval: int = NEVER,
    features: Tensor | None = None,
) -> Trainer:
    """Build the same network under a method.

    Args:
        network: its description.
        method: of sparse training.
        execution: of the sparse layers.
        optimizer: its name.
        batches: inputs and labels.
        seed: of weights and masks.
        device: where it trains.
        engine: the class of its sparsity.
        total_steps: optimizer steps of the whole training.
        update_interval: optimizer steps between topology updates.
        features: inputs [N, F] that a topology correlates; None where none does.
    """
    built = network.build(seed)
    built.model.to(device)
    torch_optimizer = build_optimizer(optimizer, built.model)
    sparsity = engine(
        built.model,
        torch_optimizer,
        method,
        total_steps=total_steps,
        update_interval=update_interval,
        seed=seed,
        layers=built.sparse_layers,
        chains=built.chains,
        execution=execution,
        batch=len(batches[0][1]),
        features=features,
    )
    return Trainer(built, torch_optimizer, sparsity, batches)


def trainer_of(
    kind: Kind,
    network: Network,
    density: float,
    optimizer: OptimizerName,
    batches: Sequence[Batch],
    seed: int,
    device: torch.device | str = "cpu",
) -> Trainer:
    """Build one of the KINDS: an ordinary network, or one with random masks that never change.

    Args:
        kind: `plain`: torch's optimizer as it comes; `fused`: the fused one; `dense`, `csr`: random masks, executed so.
        network: its description.
        density: of the masks, in (0, 1].
        optimizer: its name.
        batches: inputs and labels.
        seed: of weights and masks.
        device: where it trains.
    """
    if kind == "plain" or kind == "fused":
        return plain_trainer(network, optimizer, batches, seed, device, fused=kind == "fused")
    method = load_method("static", sparsity=1 - density)
    return sparse_trainer(network, method, kind, optimizer, batches, seed, device)
