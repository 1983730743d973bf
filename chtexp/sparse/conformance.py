"""What every method promises, checked on a small network: for the tests of rules of one's own.

    from chtexp.sparse import load_method
    from chtexp.sparse.conformance import check_method

    def test_mine():
        check_method(load_method("mine", folder="my_conf/method", plugins=["mine.py"]))

Shapes: O outputs, I inputs, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from chtexp.config.method import Method
from chtexp.sparse.checkpoint import load_training_state, training_state
from chtexp.sparse.cpu.execution import Choice
from chtexp.sparse.engine import DynamicSparsity

WIDTHS = (24, 32, 32, 32, 4)
BATCH, STEPS, INTERVAL = 16, 24, 4


class BrokenPromise(AssertionError):
    """A method does not do what every method does; the message says what, and after which step."""


def check_method(method: Method, *, seed: int = 0) -> None:
    """Check a method in 24 steps with five topology updates, of a perceptron with three sparse layers on random data.

    The number of links is that of its density schedule after every step; absent links have neither weight nor momentum; links
    that grow begin at zero, unless the method keeps weights of absent links; the same seed gives the same links; execution by
    links alone gives the same links as matrices; a training that is saved and resumed ends as one that was not.

    Args:
        method: a method of a density at which three layers of 32 neurons have links.
        seed: of the network, the data and the method.

    Raises:
        BrokenPromise: a promise does not hold.
    """
    if method.topology is None:
        raise BrokenPromise(f"{method.name} is dense: there are no links to check")
    whole = _Training(method, seed, "dense")
    masks = whole.run(STEPS, _checked(method))
    _equal(masks, _Training(method, seed, "dense").run(STEPS), "the same seed gives other links the second time")
    _equal(masks, _Training(method, seed, "csr").run(STEPS), "execution=csr gives other links than execution=dense")
    half, other = _Training(method, seed, "dense"), _Training(method, seed, "dense")
    half.run(STEPS // 2)
    load_training_state(other.sparsity, training_state(half.sparsity))
    if other.sparsity.steps != half.sparsity.steps:
        raise BrokenPromise("a training that is resumed in the middle does not begin there")
    _equal(masks, other.run(STEPS), "a training that is resumed in the middle ends with other links")


class _Training:
    """A small perceptron in training; the batch depends on seed and step alone."""

    def __init__(self, method: Method, seed: int, execution: Choice) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            modules: list[nn.Module] = []
            for inputs, outputs in pairwise(WIDTHS):
                modules += [nn.Linear(inputs, outputs), nn.ReLU()]
            self.model = nn.Sequential(*modules[:-1])
        self.seed = seed
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.sparsity = DynamicSparsity(
            self.model,
            self.optimizer,
            method,
            total_steps=STEPS,
            update_interval=INTERVAL,
            seed=seed,
            features=self._normal(4 * BATCH, -1) if method.correlates_features else None,
            execution=execution,
        )

    def run(self, until: int, check: Callable[[_Training], None] = lambda training: None) -> dict[str, Tensor]:
        """Train up to a step; return the masks."""
        while self.sparsity.steps < until:
            step = self.sparsity.steps
            labels_B = torch.arange(BATCH).roll(step) % WIDTHS[-1]
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(self._normal(BATCH, step)), labels_B).backward()
            self.optimizer.step()
            check(self)
        return self.sparsity.masks

    def _normal(self, rows: int, step: int) -> Tensor:
        return torch.randn(rows, WIDTHS[0], generator=torch.Generator().manual_seed(1000 * (self.seed + 1) + step))


def _checked(method: Method) -> Callable[[_Training], None]:
    """A check after every step, which remembers the links of the step before."""
    schedule = method.schedule(STEPS, INTERVAL)
    before: dict[str, Tensor] = {}

    def check(training: _Training) -> None:
        step = training.sparsity.steps
        wanted = schedule(min(step, STEPS - 1) // INTERVAL * INTERVAL)
        masks = {name: mask_OI.clone() for name, mask_OI in training.sparsity.masks.items()}
        pairs = training.sparsity.pairs
        links = _links_of(training.sparsity)
        if abs(links - wanted * pairs) > len(masks):
            raise BrokenPromise(f"{links} of {pairs} links after step {step}: density {wanted:g} was due")
        for layer in training.sparsity.layers:
            weight_OI, mask_OI = layer.weight.detach(), masks[layer.name]
            if weight_OI[~mask_OI].any():
                raise BrokenPromise(f"absent links of layer '{layer.name}' have weights after step {step}")
            momentum_OI = training.optimizer.state[layer.weight]["momentum_buffer"]
            if momentum_OI[~mask_OI].any():
                raise BrokenPromise(f"absent links of layer '{layer.name}' have momentum after step {step}")
            grown_OI = mask_OI & ~before.get(layer.name, mask_OI)
            if not method.history_weights and weight_OI[grown_OI].any():
                raise BrokenPromise(f"links that grew in layer '{layer.name}' do not begin at zero, after step {step}")
        before.update(masks)

    return check


def _links_of(sparsity: DynamicSparsity) -> int:
    return sum(int(mask_OI.sum()) for mask_OI in sparsity.masks.values())


def _equal(masks: dict[str, Tensor], others: dict[str, Tensor], said: str) -> None:
    for name, mask_OI in masks.items():
        if not torch.equal(mask_OI, others[name]):
            raise BrokenPromise(
                f"{said} in layer '{name}': draw from the generator that a rule is given, and from nothing else"
            )
