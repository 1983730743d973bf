"""One network in training, to be timed: a step as `chtexp.train.loop` makes it, or as plain torch does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Literal

import torch
from torch.nn.functional import cross_entropy

from chtexp.bench.inputs import Batch
from chtexp.bench.networks import Network, OptimizerName, build_optimizer
from chtexp.sparse import Choice, DynamicSparsity, Method, load_method, threads_for_kernels
from chtexp.tasks import Built

Kind = Literal["plain", "fused", "dense", "csr"]
KINDS: tuple[Kind, ...] = ("plain", "fused", "dense", "csr")
NEVER = 10**9  # steps: no topology update falls into a measurement that wants none


class Trainer:
    """A model, its optimizer, and the sparsity between them (None: an ordinary dense network).

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
        self.sparse_layers = [built.model.get_submodule(name) for name in built.sparse_layers]
        self._batches = cycle(batches)
        self._apply = sparsity.apply_gradients if sparsity else optimizer.step
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step(self) -> None:
        """Forward, cross-entropy, backward, optimizer step, gradients dropped."""
        with threads_for_kernels(self.sparsity is not None and self.sparsity.on_kernels):
            self.backward()
            self._apply()
            for parameter in self._trained:
                parameter.grad = None

    def backward(self) -> None:
        """The first half: gradients of the next batch's loss."""
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
    """An ordinary network of `nn.Linear`s, which nothing of this project touches."""
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
    **arguments: Any,
) -> Trainer:
    """The same network under `method`. arguments: further ones of `DynamicSparsity`."""
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
        **arguments,
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
    """An ordinary network with torch's optimizer as it comes (`plain`) or fused (`fused`), or random masks of this density.

    These never change and are executed as `dense` or `csr`.
    """
    if kind == "plain" or kind == "fused":
        return plain_trainer(network, optimizer, batches, seed, device, fused=kind == "fused")
    method = load_method("static", sparsity=1 - density)
    return sparse_trainer(network, method, kind, optimizer, batches, seed, device)
