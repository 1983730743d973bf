"""The engine beside any optimizer of torch, and what it refuses of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity

from .small_networks import Training, perceptron, sparse_method, training


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Adamax", "Rprop", "ASGD"])
def test_other_optimizers_leave_absent_links_at_nothing(name: str) -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.01)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0)
    run = Training(model, optimizer, sparsity)
    for _ in range(9):
        run.step()
        for layer in sparsity.layers:
            assert layer.weight[layer.mask_OI].any()
            for tensor in (layer.weight, layer.weight.grad, *run.moments(layer.weight).values()):
                assert not tensor[~layer.mask_OI].any()


class Noise(torch.optim.SGD):
    """Moves every weight and its momentum, gradient or not."""

    def step(self, closure: None = None) -> None:
        super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                weight.add_(0.01)
                self.state[weight]["momentum_buffer"].add_(0.01)


def test_an_optimizer_that_moves_absent_weights_does_not_keep_them() -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = Noise(model.parameters(), lr=0.01, momentum=0.9)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0)
    run = Training(model, optimizer, sparsity)
    for _ in range(9):
        run.step()
        for layer in sparsity.layers:
            assert not layer.weight[~layer.mask_OI].any()
            assert not run.moments(layer.weight)["momentum_buffer"][~layer.mask_OI].any()


class Factored(torch.optim.SGD):
    """Keeps its state in a layout of its own."""

    layout: Any

    def step(self, closure: None = None) -> None:
        super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["own"] = self.layout(weight)


@pytest.mark.parametrize(
    "layout",
    [
        lambda weight: torch.zeros(weight.shape[0], 1),
        lambda weight: weight.detach().reshape(-1),
        lambda weight: [weight],
    ],
)
def test_a_state_that_does_not_mirror_the_weights_is_an_error(layout: Any) -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = Factored(model.parameters(), lr=0.01)
    optimizer.layout = layout
    sparsity = DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0)
    with pytest.raises(UserError, match=r"Factored keeps 'own' .* use an optimizer whose state mirrors"):
        Training(model, optimizer, sparsity).step()


def test_adafactor_and_line_searches_are_errors() -> None:
    model = perceptron(24, 32, 32, 4)
    settings: dict[str, Any] = {"total_steps": 9, "update_interval": 3, "seed": 0}
    adafactor = torch.optim.Adafactor(model.parameters())
    sparsity = DynamicSparsity(model, adafactor, sparse_method("set"), **settings)
    with pytest.raises(UserError, match="Adafactor keeps 'row_var'"):
        Training(model, adafactor, sparsity).step()
    with pytest.raises(UserError, match="LBFGS cannot step without 'closure'"):
        DynamicSparsity(model, torch.optim.LBFGS(model.parameters()), sparse_method("set"), **settings)


def test_every_sparse_weight_must_be_in_the_optimizer() -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    with pytest.raises(UserError, match="sparse layer '2' is not in the optimizer"):
        DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0)


def test_nothing_of_the_optimizer_or_the_model_is_patched_beside_public_hooks() -> None:
    run = training(sparse_method("chts_n")).run(5)
    assert "step" not in vars(run.optimizer)
    hooks = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_load_state_dict_post_hooks")
    assert [len(getattr(run.optimizer, name)) for name in hooks] == [1, 1, 1]
    for module in run.model.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
        assert not list(module.buffers())
    assert all(not parameter._backward_hooks for parameter in run.model.parameters())


def test_a_missing_gradient_is_an_error_where_a_rule_reads_it() -> None:
    run = training(sparse_method("rigl"), interval=1)
    with pytest.raises(UserError, match="needs the gradient of layer '0', which has none"):
        run.sparsity.step()
    run = training(sparse_method("mest_ems"), interval=2).run(1)
    run.optimizer.zero_grad(set_to_none=True)
    with pytest.raises(UserError, match="needs the gradient"):
        run.sparsity.step()
    training(sparse_method("set"), interval=1).sparsity.step()  # SET does not look at it
