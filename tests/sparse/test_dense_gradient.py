"""The gradient of all pairs that updates read: whatever happens to `weight.grad` on its way to the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity

from .small_networks import Training, normal, perceptron, sparse_method, training

EXECUTIONS = ["dense", "csr"]


def loss_of(model: nn.Module, step: int, rows: slice = slice(None)) -> Tensor:
    labels = torch.arange(16).roll(step) % 4
    return nn.functional.cross_entropy(model(normal(16, 24, seed=step)[rows]), labels[rows])


def seen(run: Training) -> list[Tensor]:
    """The gradients that the next update would read."""
    run.sparsity.mask_gradients()
    found = [layer.gradient.of_all_pairs("test", lambda gradient: gradient, None) for layer in run.sparsity.layers]
    return [gradient_OI.clone() for gradient_OI in found]


def before_an_update(execution: str = "dense", **settings: Any) -> Training:
    return training(sparse_method("rigl"), interval=4, execution=execution, **settings).run(3)


def wanted() -> list[Tensor]:
    run = before_an_update()
    run.optimizer.zero_grad()
    loss_of(run.model, 3).backward()
    return seen(run)


def assert_close(one: list[Tensor], other: list[Tensor], rel: float = 1e-5) -> None:
    for mine, its in zip(one, other, strict=True):
        assert (mine - its).abs().max() <= rel * its.abs().max()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("view", [True, False])
@pytest.mark.parametrize("to_none", [True, False])
def test_buckets_of_gradients(view: bool, to_none: bool, alone: None) -> None:
    run = before_an_update()
    parallel = DistributedDataParallel(run.model, gradient_as_bucket_view=view)
    for _ in range(2):  # the second time gradients lie in buckets
        run.optimizer.zero_grad(set_to_none=to_none)
        with parallel.no_sync():
            (loss_of(parallel, 3, slice(0, 8)) / 2).backward()
        (loss_of(parallel, 3, slice(8, 16)) / 2).backward()
        assert_close(seen(run), wanted())


def replaced(run: Training) -> None:
    for layer in run.sparsity.layers:
        assert layer.weight.grad is not None
        layer.weight.grad = layer.weight.grad / 1


def clipped(run: Training) -> None:
    nn.utils.clip_grad_norm_(run.model.parameters(), 1e9)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("between", [lambda run: None, replaced, clipped])
def test_passes_add_up_whatever_is_done_between_them(between: Callable[[Training], None], execution: str) -> None:
    run = before_an_update(execution)
    run.optimizer.zero_grad()
    for rows in (slice(0, 4), slice(4, 12), slice(12, 16)):
        (loss_of(run.model, 3, rows) * ((rows.stop - rows.start) / 16)).backward()
        between(run)
    assert_close(seen(run), wanted(), rel=1e-4)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_gradients_of_inputs_alone_do_not_count(execution: str) -> None:
    run = before_an_update(execution)
    run.optimizer.zero_grad()
    inputs = normal(16, 24, seed=99).requires_grad_()
    torch.autograd.grad(run.model(inputs).square().sum(), inputs)
    loss_of(run.model, 3).backward()
    assert_close(seen(run), wanted(), rel=1e-4)


def test_a_gradient_set_by_hand_is_the_gradient() -> None:
    run = before_an_update()
    loss_of(run.model, 7).backward()  # thrown away
    run.optimizer.zero_grad()
    set_to = [normal(*layer.shape, seed=5) for layer in run.sparsity.layers]
    for layer, gradient_OI in zip(run.sparsity.layers, set_to, strict=True):
        layer.weight.grad = gradient_OI.clone()
    assert_close(seen(run), set_to)


@pytest.mark.parametrize("method", ["rigl", "mest_ems"])
def test_a_scaler_with_a_fused_optimizer(method: str) -> None:
    """It hands its scale to the optimizer, which also passes over the step by itself."""
    runs = []
    for fused in (False, True):
        model = perceptron(24, 32, 32, 32, 4)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
        sparsity = DynamicSparsity(model, optimizer, sparse_method(method), total_steps=24, update_interval=4, seed=0)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=10**6)
        run = Training(model, optimizer, sparsity)
        for step in range(14):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, step) * (torch.inf if step == 7 else 1)).backward()
            scaler.step(optimizer)
            scaler.update()
        assert sparsity.steps == 13
        runs.append(run)
    assert runs[0].sparsity.records == runs[1].sparsity.records
    for one, other in zip(runs[0].sparsity.masks.values(), runs[1].sparsity.masks.values(), strict=True):
        assert torch.equal(one, other)


def test_what_was_lost_is_an_error() -> None:
    run = before_an_update("csr")
    run.optimizer.zero_grad()
    loss_of(run.model, 3).backward()
    run.sparsity.make_dense()
    with pytest.raises(UserError, match=r"with nothing like make_dense\(\) between"):
        run.optimizer.step()
    run = before_an_update()  # of matrices, nothing is lost
    run.optimizer.zero_grad()
    loss_of(run.model, 3).backward()
    run.sparsity.make_dense()
    assert_close(seen(run), wanted())


def test_one_whose_optimizer_lacks_a_layer_takes_nothing_over() -> None:
    run = before_an_update()
    before = [layer.weight.detach().clone() for layer in run.sparsity.layers]
    with pytest.raises(UserError, match="is not in the optimizer"):
        DynamicSparsity(run.model, torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1), sparse_method("set"), total_steps=9,
                        update_interval=3, seed=0)  # fmt: skip
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(run.sparsity.layers, before, strict=True))
    run.run(3)
    assert run.sparsity.steps == 6
