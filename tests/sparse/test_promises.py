"""No promise is broken in silence: absent links have no weight, or an error says who gave them one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity, load_training_state, training_state
from chtexp.sparse.optimizer_state import beginnings

from .small_networks import Training, normal, perceptron, sparse_method, training

EXECUTIONS = ["dense", "csr"]


def step(run: Training) -> None:
    run.backward()
    run.optimizer.step()


# ---------------------------------------------------------------------- weights that others set


def load_a_dense_model(model: nn.Sequential) -> None:
    model.load_state_dict(perceptron(24, 32, 32, 32, 4, seed=1).state_dict())


def draw_anew(model: nn.Sequential) -> None:
    nn.init.kaiming_uniform_(model[2].weight)


def swap_data(model: nn.Sequential) -> None:
    model[2].weight.data.fill_(1.0)


def replace(model: nn.Sequential) -> None:
    model[2].weight = nn.Parameter(torch.ones(32, 32))


def pruned(model: nn.Sequential) -> None:
    prune.l1_unstructured(model[2], "weight", 0.5)


def normalised(model: nn.Sequential) -> None:
    parametrizations.weight_norm(model[2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (load_a_dense_model, r"\d+ absent links of sparse layer '0' have weights, which somebody set since"),
        (draw_anew, r"\d+ absent links of sparse layer '2' have weights, .* resume by load_training_state"),
        (swap_data, r"\d+ absent links of sparse layer '2' have weights"),
        (replace, "the weight of sparse layer '2' is another parameter than when DynamicSparsity was made"),
        (pruned, "the weight of sparse layer '2' is another parameter .*prune"),
        (normalised, "the weight of sparse layer '2' is another parameter .*weight_norm"),
    ],
)
def test_weights_that_somebody_else_sets_are_an_error(change: Callable[[nn.Sequential], None], said: str) -> None:
    run = training(sparse_method("set")).run(1)
    change(run.model)
    with pytest.raises(UserError, match=said):
        run.run(4)  # of data that torch does not watch, at the next update


def test_weights_that_keep_to_the_links_may_be_set() -> None:
    run = training(sparse_method("set")).run(5)
    with torch.no_grad():
        for layer in run.sparsity.layers:
            layer.weight.mul_(0.5)
    run.run(8)
    assert run.sparsity.steps == 13


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_own_ways_to_set_weights_are_no_mistake(execution: str) -> None:
    run = training(sparse_method("chtss_n"), execution=execution).run(6)
    state = training_state(run.sparsity)
    again = training(sparse_method("chtss_n"), execution=execution).run(2)
    load_training_state(again.sparsity, state)
    again.run(3)
    again.sparsity.make_dense()
    again.run(6)
    assert again.sparsity.steps == 15


# ---------------------------------------------------------------------- optimizers


class Around(torch.optim.Optimizer):
    """Keeps its state in another optimizer, as sharpness-aware minimisation and Lookahead do."""

    def __init__(self, parameters: Any, **options: Any) -> None:
        super().__init__(parameters, dict(options))
        self.base = torch.optim.SGD(self.param_groups, **options)
        self.param_groups = self.base.param_groups

    def step(self, closure: Any = None) -> Any:
        return self.base.step(closure)


class Lookahead(Around):
    """Goes back to slow weights every other step; it copied them when they were dense."""

    def __init__(self, parameters: Any, **options: Any) -> None:
        super().__init__(parameters, **options)
        self.slow = [weight.detach().clone() for group in self.param_groups for weight in group["params"]]
        self.calls = 0

    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        self.calls += 1
        if self.calls % 2 == 0:
            fast = [weight for group in self.param_groups for weight in group["params"]]
            with torch.no_grad():
                for slow, weight in zip(self.slow, fast, strict=True):
                    slow.lerp_(weight, 0.5)
                    weight.copy_(slow)


@pytest.mark.parametrize("kind", [Around, Lookahead])
def test_an_optimizer_around_another_is_followed(kind: type[Around]) -> None:
    model = perceptron(24, 32, 32, 32, 4)
    optimizer = kind(model.parameters(), lr=0.05, momentum=0.9)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("rigl"), total_steps=24, update_interval=4, seed=0)
    run = Training(model, optimizer, sparsity)
    for count in range(1, 20):
        step(run)
        assert sparsity.steps == count
        for layer in sparsity.layers:
            momentum_OI = optimizer.base.state[layer.weight]["momentum_buffer"]
            assert not (momentum_OI.ne(0) & ~layer.mask_OI).any()
            assert not (layer.weight.ne(0) & ~layer.mask_OI).any()


def test_sharpness_aware_minimisation_follows_the_step_and_not_the_climb() -> None:
    model = perceptron(24, 32, 32, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("rigl"), total_steps=24, update_interval=4, seed=0)
    run = Training(model, optimizer, sparsity)
    for _ in range(12):
        run.backward()
        climbs = [
            (weight, 0.05 * weight.grad / weight.grad.norm())
            for weight in model.parameters()
            if weight.grad is not None
        ]
        with torch.no_grad():
            for weight, climb in climbs:
                weight.add_(climb)
        run.backward()
        with torch.no_grad():
            for weight, climb in climbs:
                weight.sub_(climb)
        optimizer.step()
    assert (sparsity.steps, len(sparsity.records)) == (12, 3)


def test_new_links_begin_as_the_optimizer_begins() -> None:
    model = perceptron(24, 32, 32, 32, 4)
    optimizer = torch.optim.Rprop(model.parameters(), lr=0.01)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=24, update_interval=4, seed=0)
    run = Training(model, optimizer, sparsity).run(3)
    before = sparsity.masks
    run.step()
    for layer in sparsity.layers:
        grown = layer.mask_OI & ~before[layer.name]
        assert grown.any()
        assert (optimizer.state[layer.weight]["step_size"][grown] == 0.01).all()
        assert not optimizer.state[layer.weight]["step_size"][~layer.mask_OI].any()


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_new_links_of_adagrad_begin_with_its_first_sum(execution: str) -> None:
    model = perceptron(24, 32, 32, 32, 4)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01, initial_accumulator_value=0.5)
    sparsity = DynamicSparsity(
        model, optimizer, sparse_method("set"), total_steps=24, update_interval=4, seed=0, execution=execution
    )
    run = Training(model, optimizer, sparsity).run(3)
    before = sparsity.masks
    run.step()
    for layer in sparsity.layers:
        state = layer.state()
        new_K = ~state.links.take(before[layer.name])
        assert new_K.any()
        assert (state.buffers["sum"][new_K] == 0.5).all()
        assert (state.buffers["sum"][~new_K] >= 0.5).all()


def test_what_optimizers_begin_with_is_what_torch_begins_with() -> None:
    """The first state of a weight without any gradient, of every optimizer whose state mirrors the weights."""
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Rprop", "ASGD"):
        weight = nn.Parameter(torch.zeros(2, 3))
        optimizer = getattr(torch.optim, name)([weight], lr=0.02)
        weight.grad = torch.zeros(2, 3)
        optimizer.step()
        known = beginnings(optimizer, weight)
        for key, value in optimizer.state[weight].items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                assert (value == known.get(key, 0.0)).all(), (name, key)


# ---------------------------------------------------------------------- names


def test_neither_compiling_nor_wrapping_changes_a_name_or_a_draw() -> None:
    def drawn(wrap: Callable[[nn.Sequential], nn.Module]) -> dict[str, Tensor]:
        model = wrap(perceptron(24, 32, 32, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=9, update_interval=3, seed=0).masks

    def inside(model: nn.Sequential) -> nn.Module:
        model[2] = torch.compile(model[2], backend="eager")
        return model

    plain = drawn(lambda model: model)
    for wrap in (lambda model: torch.compile(model, backend="eager"), nn.DataParallel, inside):
        other = drawn(wrap)
        assert list(other) == list(plain) == ["0", "2"]
        assert all(torch.equal(other[name], plain[name]) for name in plain)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, of the input of a compiled part
def test_a_checkpoint_of_a_compiled_model_is_that_of_the_plain_one() -> None:
    plain = training(sparse_method("chts_n")).run(6)
    state = training_state(plain.sparsity)
    model = perceptron(24, 32, 32, 32, 4)
    model[2] = torch.compile(model[2], backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    features = normal(64, 24)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("chts_n"), total_steps=24, update_interval=4, seed=0,
                               features=features, chains=[["0", "2", "4"]])  # fmt: skip
    load_training_state(sparsity, state)
    assert list(training_state(sparsity)["model"]) == list(state["model"])
    again = Training(model, optimizer, sparsity).run(6)
    assert again.sparsity.steps == 12


# ---------------------------------------------------------------------- averages


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("decay", [0.9, None])
def test_an_averaged_model_follows_the_links(decay: float | None, execution: str) -> None:
    run = training(sparse_method("chtss_n"), execution=execution)
    averaging = get_ema_multi_avg_fn(decay) if decay else None
    average = AveragedModel(run.model, multi_avg_fn=averaging)
    by_hand = {layer.name: None for layer in run.sparsity.layers}  # type: dict[str, Tensor | None]
    for count in range(20):
        step(run)
        average.update_parameters(run.model)
        for layer in run.sparsity.layers:
            weight_OI = torch.zeros(layer.shape)
            layer.links.put(weight_OI, layer.state().weight_K.clone())
            old_OI = by_hand[layer.name]
            share = 1 - decay if decay else 1 / (count + 1)
            by_hand[layer.name] = weight_OI if old_OI is None else (old_OI * layer.mask_OI).lerp(weight_OI, share)
    outputs = average(normal(8, 24))
    run.sparsity.make_dense()
    for layer in run.sparsity.layers:
        found_OI, wanted_OI = average.module.get_submodule(layer.name).weight, by_hand[layer.name]
        assert not (found_OI.ne(0) & ~layer.mask_OI).any()
        assert torch.allclose(found_OI, wanted_OI, atol=1e-6)
    assert torch.allclose(average(normal(8, 24)), outputs, atol=1e-6)


def test_other_copies_stay_as_they_are() -> None:
    import copy

    run = training(sparse_method("set")).run(3)
    best = copy.deepcopy(run.model)
    kept = [parameter.detach().clone() for parameter in best.parameters()]
    run.run(12)
    assert all(map(torch.equal, best.parameters(), kept))


def test_an_average_made_before_is_followed_when_it_is_named() -> None:
    model = perceptron(24, 32, 32, 4)
    average = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsity = DynamicSparsity(model, optimizer, sparse_method("set"), total_steps=24, update_interval=4, seed=0)
    sparsity.follow(average)
    run = Training(model, optimizer, sparsity)
    for _ in range(12):
        step(run)
        average.update_parameters(model)
    for layer in sparsity.layers:
        assert not (average.module.get_submodule(layer.name).weight.ne(0) & ~layer.mask_OI).any()
    with pytest.raises(UserError, match="has no layer '0' of the model's"):
        sparsity.follow(AveragedModel(perceptron(24, 30, 4)))


# ---------------------------------------------------------------------- states, copies, strangers


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_state_that_is_kept_is_of_one_moment_and_may_be_loaded_again_and_again(execution: str) -> None:
    run = training(sparse_method("chts_n"), "adamw", execution=execution).run(8)
    best = training_state(run.sparsity)
    run.run(4)
    ends = []
    for _ in range(3):
        load_training_state(run.sparsity, best)
        assert run.sparsity.steps == 8
        run.run(6)
        ends.append(run.loss)
    assert ends[0] == ends[1] == ends[2]


def test_a_state_dict_of_links_alone_is_refused() -> None:
    run = training(sparse_method("set"), execution="csr").run(3)
    best = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run(3)
    with pytest.raises(RuntimeError, match=r"does not say which links these are: keep training_state\(sparsity\)"):
        run.model.load_state_dict(best)
    run.sparsity.make_dense()
    kept = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.model.load_state_dict(kept)
    run.run(1)


def test_what_does_not_fit_the_links_is_neither_saved_nor_exported() -> None:
    run = training(sparse_method("set")).run(3)
    load_a_dense_model(run.model)
    for use in (run.sparsity.make_dense, lambda: training_state(run.sparsity)):
        with pytest.raises(UserError, match="absent links of sparse layer '0' have weights"):
            use()
    run = training(sparse_method("set"), total=10).run(9)  # no update comes any more
    swap_data(run.model)
    with pytest.raises(UserError, match="absent links of sparse layer '2' have weights"):
        run.run(1)


def test_a_module_that_was_replaced_and_a_layer_that_was_frozen_are_errors() -> None:
    run = training(sparse_method("set")).run(1)
    run.model[2] = nn.Linear(32, 32)
    run.optimizer.add_param_group({"params": run.model[2].parameters()})
    with pytest.raises(UserError, match="'2' of the model is another module than when DynamicSparsity was made"):
        run.run(4)
    for execution in EXECUTIONS:
        run = training(sparse_method("set"), execution=execution).run(1)
        run.sparsity.layers[1].weight.requires_grad_(False)
        with pytest.raises(UserError, match="sparse layer '2' was frozen"):
            run.run(1)


def test_another_optimizer_is_noticed() -> None:
    run = training(sparse_method("set"))
    stranger = torch.optim.SGD(run.model.parameters(), lr=0.01)

    def train() -> None:
        for _ in range(22):
            run.backward()
            stranger.step()

    with pytest.warns(
        UserWarning, match="changed 20 times without a step of the optimizer that DynamicSparsity follows"
    ):
        train()
    run.run(3)  # of its own


def test_it_is_not_copied() -> None:
    import copy
    import pickle

    run = training(sparse_method("set"))
    for make in (copy.deepcopy, pickle.dumps):
        with pytest.raises(UserError, match="cannot be copied or pickled"):
            make(run.sparsity)


def test_layers_that_are_not_ready_say_why() -> None:
    lazy = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2))
    computed = perceptron(24, 32, 32, 4)
    prune.l1_unstructured(computed[0], "weight", 0.5)
    for model, said in (
        (lazy, "layer '0' is a LazyLinear"),
        (computed, "weight of layer '0' is computed from other parameters"),
    ):
        with pytest.raises(UserError, match=said):
            DynamicSparsity(model, torch.optim.SGD(model.parameters(), lr=0.1), sparse_method("set"), total_steps=9,
                            update_interval=3, seed=0)  # fmt: skip
