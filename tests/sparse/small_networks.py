"""Small networks in dynamic sparse training, on random data: what the tests of this folder share."""

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


def convolutional(seed: int = 0) -> nn.Sequential:
    """Three convolutions and two linear maps for images of 3 x 6 x 6; sparse by default are 3, 6 and 9."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 10, 3, padding=1), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(90, 16), nn.ReLU(), nn.Linear(16, 4)),
        )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def method_for(network: str, name: str) -> Method:
    """As `sparse_method`; one that correlates features begins with `brf` in a convolutional network."""
    method = sparse_method(name)
    return sparse_method(name, topology="brf") if method.correlates_features and network == "cnn" else method


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
        inputs = self.inputs(seed=step)
        labels = torch.arange(16).roll(step) % self.model[-1].out_features
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(inputs), labels)
        loss.backward()
        self.loss = loss.item()

    def inputs(self, seed: int) -> Tensor:
        first = self.model[0]
        return normal(16, *((3, 6, 6) if isinstance(first, nn.Conv2d) else (first.in_features,)), seed=seed)

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
    network: str = "mlp",
    **arguments: Any,
) -> Training:
    """The same first model for every call; features= are given where the method correlates them."""
    model = convolutional() if network == "cnn" else perceptron(*widths)
    weights = OPTIMIZERS[optimizer](model.parameters())
    if method.correlates_features:
        arguments.setdefault("features", normal(64, widths[0]))
    sparsity = DynamicSparsity(
        model, weights, method, total_steps=total, update_interval=interval, seed=seed, **arguments
    )
    return Training(model, weights, sparsity)
