"""Whoever calls `optimizer.step()`, and whatever stands between it and the backward pass: the training is the same sparse one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity, load_training_state, method_names, training_state

from .small_networks import Training, normal, perceptron, sparse_method, training

EXECUTIONS = ["dense", "csr"]
GROWN_BY_GRADIENT = ["rigl", "granet", "mest_ems"]


def stray(run: Training) -> int:
    """Absent links with a weight or a moment."""
    held = [
        (layer.mask_OI, value)
        for layer in run.sparsity.layers
        if layer.execution == "dense"
        for value in (layer.weight.detach(), *run.moments(layer.weight).values())
    ]
    return sum(int((value.ne(0) & ~mask_OI).sum()) for mask_OI, value in held)


def weights(run: Training) -> list[Tensor]:
    run.sparsity.make_dense()
    return [parameter.detach().clone() for parameter in run.model.parameters()]


def by_hand(run: Training) -> None:
    run.backward()
    run.optimizer.step()


def in_halves(run: Training) -> None:
    run.backward()
    run.sparsity.apply_gradients()
    run.sparsity.update_topology()


def by_closure(run: Training) -> None:
    def closure() -> float:
        with torch.enable_grad():
            run.backward()
        return run.loss

    assert run.optimizer.step(closure) == run.loss


def masked_first(run: Training) -> None:
    run.backward()
    run.sparsity.mask_gradients()
    run.optimizer.step()


def updated_twice(run: Training) -> None:
    by_hand(run)
    assert run.sparsity.update_topology() is None


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("step", [by_hand, in_halves, by_closure, masked_first, updated_twice])
@pytest.mark.parametrize("method", ["set", "rigl", "mest_ems", "chts_n", "gmp"])
def test_every_way_to_step_is_the_same_training(method: str, step: Callable[[Training], None], execution: str) -> None:
    one, other = (training(sparse_method(method), "adamw", execution=execution) for _ in range(2))
    one.run(20)
    for _ in range(20):
        step(other)
        assert not stray(other)
    assert other.sparsity.steps == 20
    assert other.sparsity.records == one.sparsity.records
    assert all(map(torch.equal, weights(one), weights(other)))


@pytest.mark.parametrize("method", [name for name in method_names() if "/" not in name])
def test_the_optimizer_alone_trains_every_method(method: str) -> None:
    run = training(sparse_method(method))
    for _ in range(20):
        by_hand(run)
    assert run.sparsity.steps == 20
    assert not stray(run)


def test_one_step_more_than_there_are_is_an_error() -> None:
    run = training(sparse_method("set"), total=5).run(5)
    run.backward()
    for step in (run.optimizer.step, run.sparsity.step, run.sparsity.apply_gradients):
        with pytest.raises(UserError, match=r"all 5 steps \(total_steps\) are done"):
            step()
    assert run.sparsity.steps == 5


def test_it_says_what_it_is() -> None:
    run = training(sparse_method("set")).run(3)
    assert (
        repr(run.sparsity) == f"DynamicSparsity(SET, 3 sparse layers, density {run.sparsity.density:.4g}, step 3 of 24)"
    )


# ---------------------------------------------------------------------- between the backward pass and the step


def dense_gradients(run: Training) -> dict[str, Tensor]:
    """Of the next step's loss, by layer, from autograd itself."""
    step = run.sparsity.steps
    inputs = normal(16, run.model[0].in_features, seed=step)
    labels = torch.arange(16).roll(step) % run.model[-1].out_features
    twin = perceptron(*[run.model[0].in_features, *(layer.out_features for layer in run.model[::2])])
    for mine, its in zip(run.model[::2], twin[::2], strict=True):
        its.load_state_dict({"weight": mine.weight.detach(), "bias": mine.bias.detach()})
    loss = nn.functional.cross_entropy(twin(inputs), labels)
    found = torch.autograd.grad(loss, [layer.weight for layer in twin[::2]])
    return {f"{2 * index}": gradient_OI for index, gradient_OI in enumerate(found[:-1])}


def clip_norm(run: Training) -> None:
    nn.utils.clip_grad_norm_(run.model.parameters(), 1e-3)


def clip_value(run: Training) -> None:
    nn.utils.clip_grad_value_(run.model.parameters(), 1e-4)


def mask_and_clip(run: Training) -> None:
    run.sparsity.mask_gradients()
    clip_norm(run)


def zero_absent(run: Training) -> None:
    for layer in run.sparsity.layers:
        assert layer.weight.grad is not None
        layer.weight.grad *= layer.mask_OI


@pytest.mark.parametrize("between", [lambda run: None, clip_norm, clip_value, mask_and_clip, zero_absent])
@pytest.mark.parametrize("method", ["rigl", "granet"])
def test_growth_by_gradient_sees_the_gradient_of_all_pairs(method: str, between: Callable[[Training], None]) -> None:
    run = training(sparse_method(method)).run(3)
    wanted = {name: gradient_OI.abs() for name, gradient_OI in dense_gradients(run).items()}
    before = run.sparsity.masks
    run.backward()
    between(run)
    run.optimizer.step()
    assert run.sparsity.records[-1].step == 4
    for name, mask_OI in run.sparsity.masks.items():
        grown, absent = mask_OI & ~before[name], ~mask_OI & ~before[name]
        assert grown.any()
        assert wanted[name][grown].min() >= wanted[name][absent].max() * (1 - 1e-5)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("clip", [clip_norm, clip_value])
def test_what_is_clipped_is_the_gradient_of_the_links(clip: Callable[[Training], None], execution: str) -> None:
    """Or a norm would be that of a dense network, and its steps too short."""
    run = training(sparse_method("set"), execution=execution)
    run.backward()
    norms = [parameter.grad.norm() for parameter in run.model.parameters() if parameter.grad is not None]
    other = training(sparse_method("set"), execution="dense")
    other.backward()
    masked = [parameter.grad for parameter in other.model.parameters() if parameter.grad is not None]
    for layer in other.sparsity.layers:
        assert not layer.weight.grad[~layer.mask_OI].any()
    assert torch.stack(norms).norm().item() == pytest.approx(
        torch.stack([g.norm() for g in masked]).norm().item(), rel=1e-5
    )
    clip(run)
    run.optimizer.step()
    assert not stray(run)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("method", GROWN_BY_GRADIENT)
@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_add_up_over_the_passes_of_a_step(method: str, execution: str, to_none: bool) -> None:
    whole, parts = (training(sparse_method(method), execution=execution) for _ in range(2))
    for _ in range(12):
        whole.step()
        step = parts.sparsity.steps
        inputs = normal(16, 24, seed=step)
        labels = torch.arange(16).roll(step) % 4
        parts.optimizer.zero_grad(set_to_none=to_none)
        for part in range(4):
            rows = slice(4 * part, 4 * part + 4)
            (nn.functional.cross_entropy(parts.model(inputs[rows]), labels[rows]) / 4).backward()
        parts.optimizer.step()
    assert len(parts.sparsity.records) == len(whole.sparsity.records) > 1
    for one, other in zip(weights(whole), weights(parts), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("to_none", [True, False])
def test_a_pass_that_was_thrown_away_leaves_nothing(to_none: bool) -> None:
    """A batch whose loss was not finite, say: gradients are cleared, and another batch comes."""
    one, other = (training(sparse_method("rigl")).run(3) for _ in range(2))
    one.step()
    nn.functional.cross_entropy(
        other.model(normal(16, 24, seed=99) * 100), torch.zeros(16, dtype=torch.long)
    ).backward()
    other.optimizer.zero_grad(set_to_none=to_none)
    step = other.sparsity.steps
    labels = torch.arange(16).roll(step) % 4
    nn.functional.cross_entropy(other.model(normal(16, 24, seed=step)), labels).backward()
    other.optimizer.step()
    for mine, its in zip(one.sparsity.masks.values(), other.sparsity.masks.values(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize("method", ["set", *GROWN_BY_GRADIENT])
def test_a_gradient_scaler_changes_nothing_and_its_skipped_steps_do_not_count(method: str) -> None:
    plain, scaled = (training(sparse_method(method)) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
    for _ in range(12):
        plain.step()
        skipped = scaled.sparsity.steps == 5 and scaler.get_scale() == 2.0**10
        step = scaled.sparsity.steps
        for overflows in [True, False] if skipped else [False]:
            scaled.optimizer.zero_grad()
            labels = torch.arange(16).roll(step) % 4
            loss = nn.functional.cross_entropy(scaled.model(normal(16, 24, seed=step)), labels)
            scaler.scale(loss * torch.inf if overflows else loss).backward()
            scaler.step(scaled.optimizer)
            scaler.update()
    assert scaler.get_scale() == 2.0**9  # one step was passed over
    assert scaled.sparsity.steps == plain.sparsity.steps == 12
    assert not stray(scaled)
    for one, other in zip(weights(plain), weights(scaled), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("first", [True, False])
def test_a_scheduler_may_be_made_before_or_after(first: bool, execution: str) -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    settings: dict[str, Any] = {"total_steps": 12, "update_interval": 4, "seed": 0, "execution": execution}
    make = lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)  # noqa: E731
    scheduler = make() if first else None
    run = Training(model, optimizer, DynamicSparsity(model, optimizer, sparse_method("set"), **settings))
    scheduler = scheduler or make()
    for _ in range(12):
        by_hand(run)
        scheduler.step()
    assert (run.sparsity.steps, len(run.sparsity.records)) == (12, 2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    assert not stray(run)


# ---------------------------------------------------------------------- what else is done to an optimizer


def test_a_loaded_state_of_a_dense_training_moves_no_absent_link() -> None:
    dense = perceptron(24, 32, 32, 4)
    other = torch.optim.SGD(dense.parameters(), lr=0.1, momentum=0.9)
    dense(normal(16, 24)).square().sum().backward()
    other.step()
    run = Training(model := perceptron(24, 32, 32, 4), optimizer := torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
                   DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0))  # fmt: skip
    optimizer.load_state_dict(other.state_dict())
    assert all(run.moments(layer.weight)["momentum_buffer"].any() for layer in run.sparsity.layers)
    assert not stray(run)
    for _ in range(5):
        by_hand(run)
        assert not stray(run)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_parameters_may_join_later(execution: str) -> None:
    run = training(sparse_method("set"), execution=execution).run(2)
    more = nn.Parameter(torch.ones(3))
    run.optimizer.add_param_group({"params": [more], "lr": 1.0})
    run.backward()
    more.grad = torch.ones(3)
    run.optimizer.step()
    assert more.tolist() == pytest.approx([0, 0, 0], abs=1e-3)
    assert run.sparsity.steps == 3


class Loud(torch.optim.SGD):
    """Calls the step of its parent, as subclasses do, and may fail before."""

    fails = False

    def step(self, closure: Any = None) -> Any:
        if self.fails:
            raise OSError("no")
        loss = super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.add_(1e-3)
        return loss


def test_a_step_inside_a_step_counts_once_and_one_that_failed_does_not() -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = Loud(model.parameters(), lr=0.01, momentum=0.9)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("rigl"), total_steps=9, update_interval=3, seed=0)
    run = Training(model, optimizer, sparsity)
    for step in range(1, 9):
        run.backward()
        optimizer.fails = True
        with pytest.raises(OSError, match="no"):
            optimizer.step()
        optimizer.fails = False
        optimizer.step()
        assert sparsity.steps == step
        assert not stray(run)
    assert [record.step for record in sparsity.records] == [3, 6]


def test_one_made_later_takes_the_model_over() -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    settings: dict[str, Any] = {"total_steps": 9, "update_interval": 3, "execution": "csr"}
    first = DynamicSparsity(model, optimizer, sparse_method("set"), seed=0, **settings)
    run = Training(model, optimizer, DynamicSparsity(model, optimizer, sparse_method("rigl"), seed=1, **settings))
    for _ in range(4):
        by_hand(run)
    assert (first.steps, run.sparsity.steps) == (0, 4)
    with pytest.raises(UserError, match="another DynamicSparsity was made for this model since"):
        first.apply_gradients()


def test_an_update_between_two_steps_is_resumed_as_ever() -> None:
    whole = training(sparse_method("chts_n"))
    for _ in range(20):
        by_hand(whole)
    stopped = training(sparse_method("chts_n"))
    for _ in range(8):
        by_hand(stopped)
    again = training(sparse_method("chts_n"))
    load_training_state(again.sparsity, training_state(stopped.sparsity))
    for _ in range(12):
        by_hand(again)
    assert all(map(torch.equal, weights(whole), weights(again)))


def test_one_that_cannot_be_made_takes_nothing_over() -> None:
    run = training(sparse_method("set")).run(2)
    with pytest.raises(UserError, match="unknown layer '9'; choose one of: 0, 2, 4, 6"):
        DynamicSparsity(
            run.model, run.optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0, layers=["9"]
        )
    with pytest.raises(UserError, match="csti"):
        DynamicSparsity(run.model, run.optimizer, sparse_method("cht"), total_steps=9, update_interval=3, seed=0)
    run.run(2)
    assert run.sparsity.steps == 4
