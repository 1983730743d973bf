"""The two executions of a sparse layer mean the same over whole trainings, and across a resume."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity, load_training_state, method_names, training_state
from chtexp.system.kernels_cache import kernel_threads, threads_for_kernels

from .small_networks import normal, perceptron, sparse_method, training
from .test_conformance import same

SPARSE = [name for name in method_names() if name != "fc" and "/" not in name]  # the others are made of the same parts


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", SPARSE)
def test_masks_and_losses_are_equal_over_a_whole_training(name: str, optimizer: str) -> None:
    method = sparse_method(name)
    runs = [training(method, optimizer, execution=execution) for execution in ("dense", "csr", "auto")]
    for _ in range(24):
        losses = []
        for run in runs:
            run.backward()
            losses.append(run.loss)
            run.sparsity.step()
        assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-3)
        masks = [run.sparsity.masks for run in runs]
        for layer, mask in masks[0].items():
            assert torch.equal(mask, masks[1][layer])
            assert torch.equal(mask, masks[2][layer])
    assert runs[0].sparsity.records == runs[1].sparsity.records == runs[2].sparsity.records
    assert set(runs[0].sparsity.executed.values()) == {"dense"}
    assert set(runs[1].sparsity.executed.values()) == {"csr"}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize(("first", "then"), [("dense", "csr"), ("csr", "dense")])
def test_a_training_resumes_in_the_other_execution(name: str, first: str, then: str) -> None:
    method, total = sparse_method(name), 12
    whole = training(method, "adam", total=total, interval=3, execution=then).run(total)
    for step in (0, 1, 5, 6):
        begun = training(method, "adam", total=total, interval=3, execution=first).run(step)
        resumed = training(method, "adam", total=total, interval=3, execution=then)
        load_training_state(resumed.sparsity, copy.deepcopy(training_state(begun.sparsity)))
        resumed.run(total - step)
        assert set(resumed.sparsity.executed.values()) == {then}
        for one, other in zip(whole.sparsity.layers, resumed.sparsity.layers, strict=True):
            assert torch.equal(one.mask_OI, other.mask_OI)
            assert torch.allclose(one.state().weight_K, other.state().weight_K, rtol=1e-3, atol=1e-5)
            for key, buffer in one.state().buffers.items():
                assert torch.allclose(buffer, other.state().buffers[key], rtol=1e-2, atol=1e-6)


def test_auto_changes_the_execution_as_the_density_falls() -> None:
    method = sparse_method("granet", sparsity=0.98)
    run = training(method, total=40, interval=4, widths=(300, 400, 400, 4), execution="auto")
    ways = [set(run.sparsity.executed.values())]
    for _ in range(40):
        run.step()
        ways.append(set(run.sparsity.executed.values()))
    assert ways[0] == {"dense"}
    assert ways[-1] == {"csr"}


def test_gradients_accumulate_over_several_backward_passes() -> None:
    method = sparse_method("rigl")
    runs = [training(method, interval=1, total=4, execution=execution) for execution in ("dense", "csr")]
    for run in runs:
        for _ in range(2):
            run.optimizer.zero_grad()
            for part in range(3):
                nn.functional.mse_loss(run.model(normal(4, 24, seed=part)), normal(4, 4, seed=part)).backward()
            run.sparsity.step()
    for name, mask in runs[0].sparsity.masks.items():
        assert torch.equal(mask, runs[1].sparsity.masks[name])


def test_other_devices_types_and_optimizers_stay_dense() -> None:
    def executed(make: Callable[..., Any], dtype: torch.dtype = torch.float32, execution: str = "auto") -> set[str]:
        model = perceptron(400, 500, 500, 4).to(dtype)
        method = sparse_method("set", sparsity=0.99)
        sparsity = DynamicSparsity(
            model, make(model.parameters()), method, total_steps=4, update_interval=2, seed=0, execution=execution
        )
        return set(sparsity.executed.values())

    assert executed(torch.optim.SGD) == {"csr"}
    assert executed(torch.optim.SGD, torch.float64) == {"dense"}
    assert executed(torch.optim.Adamax) == {"dense"}
    with pytest.raises(UserError, match="Adamax may look at a weight as a matrix"):
        executed(torch.optim.Adamax, execution="csr")
    with pytest.raises(UserError, match="unknown execution 'coo'"):
        executed(torch.optim.SGD, execution="coo")


class Twice(nn.Module):
    """One layer used twice in a pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shared, self.head = nn.Linear(30, 30), nn.Linear(30, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.tanh(self.shared(torch.tanh(self.shared(inputs)))))


@pytest.mark.parametrize("keep_gradients", [False, True])
def test_the_dense_gradient_of_a_layer_used_twice(keep_gradients: bool) -> None:
    masks = []
    for execution in ("dense", "csr"):
        model = Twice()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sparsity = DynamicSparsity(
            model,
            optimizer,
            sparse_method("rigl"),
            total_steps=20,
            update_interval=2,
            seed=0,
            chains=(),
            execution=execution,
        )
        for step in range(6):
            for part in range(2):  # the first backward pass is thrown away
                optimizer.zero_grad(set_to_none=not keep_gradients)
                nn.functional.mse_loss(model(normal(8, 30, seed=step + 50 * part)), normal(8, 4)).backward()
            sparsity.step()
        masks.append(sparsity.masks["shared"])
    assert torch.equal(*masks)


def test_layers_whose_weight_others_read_stay_matrices() -> None:
    class Own(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return 2 * super().forward(inputs)

    model = nn.Sequential(Own(30, 30), nn.Linear(30, 30), nn.TransformerEncoderLayer(30, 2, 60), nn.Linear(30, 2))

    def make(execution: str, **arguments: Any) -> DynamicSparsity:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        method = sparse_method("set")
        return DynamicSparsity(
            model,
            optimizer,
            method,
            total_steps=9,
            update_interval=3,
            seed=0,
            execution=execution,
            chains=(),
            **arguments,
        )

    executed = make("auto").executed
    assert executed.pop("1") == "csr"
    assert set(executed.values()) == {"dense"}
    with pytest.raises(UserError, match="the weight of 0 is read as a matrix"):
        make("csr", layers=["0", "1"])


def test_a_training_whose_torch_work_is_large_keeps_torchs_threads() -> None:
    method = sparse_method("set")
    assert training(method, widths=(40, 50, 50, 4), execution="csr").sparsity.on_kernels
    assert not training(method, widths=(40, 50, 600, 600), execution="csr").sparsity.on_kernels
    assert not training(method, widths=(40, 50, 50, 4), execution="dense").sparsity.on_kernels


def test_a_loaded_state_is_a_copy() -> None:
    runs = [training(sparse_method("set"), "adam", execution=execution) for execution in ("csr", "csr", "dense")]
    runs[0].run(5)
    state = training_state(runs[0].sparsity)
    before = copy.deepcopy(state["sparsity"])
    for run in runs[1:]:
        load_training_state(run.sparsity, state)
        run.run(10)
    assert same(runs[0].sparsity.state_dict(), before)


@pytest.mark.parametrize("other", [{"widths": (24, 32, 32, 8, 4)}, {"seed": 1}, {"name": "rigl"}, {"name": "gmp"}])
def test_a_state_of_another_training_changes_nothing(other: dict[str, Any]) -> None:
    name = other.pop("name", "set")
    begun = training(sparse_method("set"), execution="csr").run(3)
    run = training(sparse_method(name), execution="csr", **other).run(1)
    before = copy.deepcopy(training_state(run.sparsity))
    with pytest.raises(UserError):
        load_training_state(run.sparsity, training_state(begun.sparsity))
    assert same(training_state(run.sparsity), before)


def test_a_state_of_another_optimizer_changes_nothing() -> None:
    begun = training(sparse_method("set"), optimizer="adam", execution="csr").run(3)
    run = training(sparse_method("set"), execution="csr").run(1)
    before = copy.deepcopy(training_state(run.sparsity))
    with pytest.raises(UserError, match="the saved optimizer is another one"):
        load_training_state(run.sparsity, training_state(begun.sparsity))
    assert same(training_state(run.sparsity), before)


@pytest.mark.parametrize("name", ["gmp", "granet", "chtss_n", "mest_ems"])
def test_the_loss_may_outlive_the_step(name: str) -> None:
    """Whoever keeps the loss keeps the graph, and with it what autograd made for links that there no longer are."""
    losses: dict[str, list[Tensor]] = {"dense": [], "csr": []}
    for execution, kept in losses.items():
        run = training(sparse_method(name), execution=execution)
        for step in range(24):
            loss = run.model(normal(8, run.model[0].in_features, seed=step)).square().mean()
            kept.append(loss)
            run.optimizer.zero_grad()
            loss.backward()
            run.sparsity.step()
    assert [loss.item() for loss in losses["csr"]] == pytest.approx([loss.item() for loss in losses["dense"]], rel=1e-4)


def engine(model: nn.Module, execution: str = "auto", **arguments: Any) -> DynamicSparsity:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    return DynamicSparsity(
        model,
        optimizer,
        sparse_method("rigl"),
        total_steps=9,
        update_interval=2,
        seed=0,
        execution=execution,
        **arguments,
    )


def test_the_model_can_be_had_as_plain_modules() -> None:
    run = training(sparse_method("chts_n"), execution="csr").run(7)
    other = training(sparse_method("chts_n"), execution="csr").run(7)
    inputs = normal(5, run.model[0].in_features)
    before = run.model(inputs)
    run.sparsity.make_dense()
    assert all(type(module) in (nn.Linear, nn.ReLU) for module in run.model)
    torch.testing.assert_close(run.model(inputs), before, rtol=1e-5, atol=1e-6)
    plain = perceptron(*[run.model[0].in_features, *[linear.out_features for linear in linears(run.model)]])
    plain.load_state_dict(run.model.state_dict())
    for linear, mask in zip(linears(plain), run.sparsity.masks.values(), strict=False):
        assert not linear.weight[~mask].any()
    assert run.run(9).loss == pytest.approx(other.run(9).loss, rel=1e-4)


def linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def test_a_method_is_no_name() -> None:
    model = perceptron(20, 40, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(UserError, match="load_method"):
        DynamicSparsity(model, optimizer, "set", total_steps=9, update_interval=2, seed=0)


def test_a_frozen_layer_is_named() -> None:
    model = perceptron(20, 40, 40, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model[2].requires_grad_(False)
    with pytest.raises(UserError, match="sparse layer '2' is frozen"):
        DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=2, seed=0)
    with pytest.raises(UserError, match="name the layers that are to be sparse"):
        engine(model)
    assert engine(model, layers=["0"]).executed == {"0": "csr"}


def test_a_weight_that_others_share_stays_a_matrix() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(40, 20), "a": nn.Linear(20, 20), "out": nn.Linear(20, 40, bias=False)})
    model["out"].weight = model["embed"].weight
    assert engine(model, layers=["a", "out"], chains=()).executed == {"a": "csr", "out": "dense"}
    with pytest.raises(UserError, match="read as a matrix"):
        engine(model, "csr", layers=["a", "out"], chains=())


def test_links_are_not_computed_with_in_half_precision() -> None:
    with pytest.raises(UserError, match="in float32 or float64, not in bfloat16"):
        engine(perceptron(20, 40, 40, 4).bfloat16(), "csr")
    assert set(engine(perceptron(20, 40, 40, 4).bfloat16()).executed.values()) == {"dense"}


@pytest.mark.parametrize("execution", ["dense", "csr"])
def test_a_diverged_training_is_called_that(execution: str) -> None:
    run = training(sparse_method("set"), execution=execution).run(3)
    with torch.no_grad():
        weight = run.sparsity.layers[1].weight.view(-1)
        weight[weight.nonzero()[0]] = torch.nan
    with pytest.raises(UserError, match="NaN or infinite weights after step 4: the training diverged"):
        run.run(1)


def test_gradients_masked_first_are_clipped_alike() -> None:
    losses = []
    for execution in ("dense", "csr"):
        run = training(sparse_method("set"), execution=execution)
        for _ in range(8):
            run.backward()
            run.sparsity.mask_gradients()
            nn.utils.clip_grad_norm_(run.model.parameters(), 0.1)
            run.sparsity.step()
        losses.append(run.loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_threads_are_lent_to_kernels_and_given_back() -> None:
    torch.set_num_threads(2)
    with threads_for_kernels():
        assert (torch.get_num_threads(), kernel_threads()) == (1, 2)
        with threads_for_kernels():
            assert (torch.get_num_threads(), kernel_threads()) == (1, 2)
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), kernel_threads()) == (2, 2)
    with threads_for_kernels(wanted=False):
        assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert kernel_threads() == 1
