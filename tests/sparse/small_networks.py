"""A small perceptron in dynamic sparse training, on random data: what the tests of this folder share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from chtexp.sparse import DynamicSparsity, Method, UpdateRecord, load_method

WIDTHS = (24, 32, 32, 32, 4)
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=5e-4),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.01),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1, amsgrad=True),
}


def perceptron(*widths: int, seed: int = 0) -> nn.Sequential:
    """Linear layers of these widths with a ReLU between any two."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*modules[:-1])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sparse_method(name: str, **overrides: Any) -> Method:
    """A method of `conf/method` at 80% sparsity (a dense one as it is)."""
    return load_method(name, **({} if name.endswith("fc") else {"sparsity": 0.8}) | overrides)


@dataclass
class Training:
    """A model in training; the batch depends on the step alone. loss: of the last backward pass."""

    model: nn.Sequential
    optimizer: torch.optim.Optimizer
    sparsity: DynamicSparsity
    loss: float = math.nan

    def backward(self) -> None:
        step = self.sparsity.steps
        inputs = normal(16, self.model[0].in_features, seed=step)
        labels = torch.arange(16).roll(step) % self.model[-1].out_features
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(inputs), labels)
        loss.backward()
        self.loss = loss.item()

    def step(self) -> UpdateRecord | None:
        self.backward()
        return self.sparsity.step()

    def run(self, steps: int) -> Training:
        for _ in range(steps):
            self.step()
        return self

    def moments(self, weight: Tensor) -> dict[str, Tensor]:
        """The optimizer's buffers that mirror `weight`."""
        state = self.optimizer.state[weight].items()
        return {key: value for key, value in state if isinstance(value, Tensor) and value.shape == weight.shape}


def training(
    method: Method,
    optimizer: str = "sgd",
    *,
    total: int = 24,
    interval: int = 4,
    seed: int = 0,
    widths: tuple[int, ...] = WIDTHS,
    **arguments: Any,
) -> Training:
    """The same first model for every call; features= are given where the method correlates them."""
    model = perceptron(*widths)
    weights = OPTIMIZERS[optimizer](model.parameters())
    if method.correlates_features:
        arguments.setdefault("features", normal(64, widths[0]))
    sparsity = DynamicSparsity(
        model, weights, method, total_steps=total, update_interval=interval, seed=seed, **arguments
    )
    return Training(model, weights, sparsity)
