"""Layers whose weights and gradients are given by hand, for rules that then have one right answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chtexp.sparse.bits import pack
from chtexp.sparse.layer import LinkState, SparseLayer
from chtexp.sparse.links import Links

from .small_networks import Training, sparse_method, training


def lay(run: Training, layer: str, weight: Sequence[Sequence[float]]) -> SparseLayer:
    """Give a layer these weights; its links are those that are not zero."""
    sparse = next(sparse for sparse in run.sparsity.layers if sparse.name == layer)
    weight_OI = torch.tensor(weight)
    links = Links.of_mask(weight_OI != 0)
    sparse.install(LinkState(links, links.take(weight_OI), None, {}, {}), "dense")
    sparse._ever = pack(sparse.mask_OI)
    run.sparsity._settle()
    if sparse.history_OI is not None:
        sparse.history_OI.copy_(weight_OI)
    return sparse


def learn(run: Training, gradient: Tensor) -> None:
    """One step on a gradient given by hand, at learning rate zero: the weights stay."""
    for group in run.optimizer.param_groups:
        group["lr"] = 0.0
    for layer in run.sparsity.layers:
        layer.weight.grad = gradient.clone()
    run.sparsity.step()


def one_layer(name: str, total: int = 10, inputs: int = 4, **overrides: Any) -> Training:
    """A network whose one sparse layer has 2 outputs and half of its pairs."""
    method = sparse_method(name, **{"sparsity": 0.5} | overrides)
    return training(method, total=total, interval=1, widths=(inputs, 2, 2))


def two_layers(
    first: list[list[float]], second: list[list[float]], **overrides: Any
) -> tuple[Training, SparseLayer, SparseLayer]:
    """CHTs in layers of 4, 3 and 4 neurons, with hard removal and these weights."""
    method = sparse_method("chts_n", topology="er", removal="wm", sparsity=0.5, **overrides)
    run = training(method, total=10, interval=1, widths=(4, 3, 4, 2))
    return run, lay(run, "0", first), lay(run, "2", second)


def learn_nothing(run: Training) -> None:
    """A step that changes no weight, and the update after it."""
    for group in run.optimizer.param_groups:
        group["lr"] = 0.0
    run.step()


WEIGHT = [[1.0, -2.0, 0, 0], [0, 0, 0.5, 4.0]]
GRADIENT = torch.tensor([[0.0, 0.0, 3.0, -7.0], [5.0, 6.0, 90.0, 80.0]])
