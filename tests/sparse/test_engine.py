"""The engine at work: each rule on a case built for it, any optimizer, any model, and what it refuses."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.processes import ALONE
from chtexp.sparse import DensitySchedule, DynamicSparsity, density_schedule, rewiring
from chtexp.sparse.bits import pack
from chtexp.sparse.layer import LinkState, SparseLayer
from chtexp.sparse.links import Links
from chtexp.topology import Junction

from .small_networks import Training, normal, perceptron, sparse_method, training


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


# ---------------------------------------------------------------------- rules


def test_rigl_grows_the_largest_gradients_of_absent_links() -> None:
    run = one_layer("rigl", zeta=0.5, zeta_schedule="constant")
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)
    # 0.5 and 1 go; of what is absent then, 90 (the link that just went, from zero) and 7 come
    assert layer.mask_OI.tolist() == [[False, True, False, True], [False, False, True, True]]
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0, 4]]
    assert run.sparsity.records[-1].overlap == 0.5


@pytest.mark.parametrize("name", ["rigl", "granet"])
def test_gradient_methods_grow_by_the_dense_gradient_of_the_loss(name: str) -> None:
    run = training(sparse_method(name)).run(3)
    run.backward()
    dense = {layer.name: layer.weight.grad.abs().clone() for layer in run.sparsity.layers}
    run.sparsity.apply_gradients()
    run.optimizer.zero_grad(set_to_none=True)  # the training loop's habit: the engine keeps what it needs
    before = {layer.name: layer.weight.detach().clone() for layer in run.sparsity.layers}
    assert run.sparsity.update_topology() is not None
    for layer in run.sparsity.layers:
        grown = layer.mask_OI & (layer.weight == 0) & (dense[layer.name] > 0)
        absent = ~layer.mask_OI
        assert grown.any()
        assert dense[layer.name][grown].min() >= dense[layer.name][absent].max()
        kept = layer.mask_OI & (layer.weight == before[layer.name])
        gone = (before[layer.name] != 0) & ~kept
        assert before[layer.name][kept & (layer.weight != 0)].abs().min() >= before[layer.name][gone].abs().max()


def test_mest_removes_by_weight_and_gradient() -> None:
    run = one_layer("mest_ems", zeta=0.25, density="fixed", total=20)
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)  # |W| + 0.01 |g|: 1, 2, 0.5 + 0.9, 4.8: the first goes although 0.5 is smaller
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0.5, 4]]


def test_set_removes_smallest_weights_exactly() -> None:
    run = one_layer("set", zeta=0.5)
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0, 4]]
    assert layer.mask_OI.sum() == 4


def test_gmp_readmits_a_pruned_weight_whose_stored_magnitude_passes_the_threshold() -> None:
    run = one_layer("gmp", sparsity=0.7, density={"initial_sparsity": 0.2, "end": 0.9}, inputs=5)
    layer = lay(run, "0", [[1.0, -2.0, 3.0, 4.0, 0], [5.0, 6.0, 7.0, 8.0, 0]])
    learn(run, torch.zeros(2, 5))  # round(10 (0.3 + 0.5 (8/9)^3)) = 7 links are left
    assert layer.weight.tolist() == [[0, -2, 3, 4, 0], [5, 6, 7, 8, 0]]
    layer.weight.data[0, 1:4] = torch.tensor([0.3, 0.4, 0.5])  # what stayed shrinks below the stored 1
    learn(run, torch.zeros(2, 5))  # round(10 (0.3 + 0.5 (7/9)^3)) = 5 links are left
    assert layer.weight.tolist() == [[1, 0, 0, 0, 0], [5, 6, 7, 8, 0]]
    assert torch.equal(layer.mask_OI, layer.weight != 0)
    assert layer.history_OI[0].tolist() == pytest.approx([1, 0.3, 0.4, 0.5, 0])


def test_history_weights_bring_links_back_as_they_were() -> None:
    run = one_layer("rigl", zeta=0.5, zeta_schedule="constant", history_weights=True)
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)  # as above, but the link of weight 0.5 comes back with it
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0.5, 4]]
    layer.weight.data[0, 3] = 3.0  # the new link learns
    learn(run, torch.tensor([[50.0, 0, 0, 0], [0, 0, 0, 0]]))  # 0.5 and -2 go, 1 comes back
    assert layer.weight[0, 0] == 1
    assert layer.weight[[0, 1], [3, 3]].tolist() == [3, 4]


def test_what_was_pruned_does_not_weigh_in_relative_importance() -> None:
    density = {"kind": "cubic", "initial_sparsity": 0.375, "prune": "snip", "end": 0.9}
    run = one_layer("granet", density=density, removal="ri", sparsity=0.625, zeta=0.25)
    lay(run, "0", [[9.0, 2.0, 0, 0], [0, 0, 3.0, 3.0]])
    layer = lay(run, "0", [[9.0, 2.0, 0, 0], [0, 2.0, 3.0, 3.0]])
    # 9 is pruned. Without it 2 above has importance 2/2 + 2/4; with it 2/11 + 2/4, which would be the lowest.
    # Below, 2 has 2/8 + 2/4 and is the lowest.
    learn(run, torch.tensor([[1e-9, 1, 0, 0], [0, 1, 1, 1]]))
    assert layer.weight.tolist() == [[0, 2, 0, 0], [0, 0, 3, 3]]


def test_global_pruning_keeps_the_overall_budget() -> None:
    method = sparse_method("gmp", density={"prune_scope": "global"})
    run = training(method)
    with torch.no_grad():
        run.model[0].weight.mul_(5)
    schedule = method.schedule(24, 4)
    for step in range(1, 25):
        if run.step():
            assert run.sparsity.links == sum(round(schedule(step) * n) for n in (24 * 32, 1024, 1024))
    densities = [mask.double().mean() for mask in run.sparsity.masks.values()]
    assert densities[0] > 0.25 > 0.19 > densities[1]


def test_a_layer_that_only_regrows_what_it_lost_stops_evolving() -> None:
    run = one_layer("cht", topology="er", percolation=False, inputs=3, sparsity=0.33, zeta=0.5)
    full = lay(run, "0", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    learn(run, torch.zeros(2, 3))
    assert run.sparsity.records[-1].overlap == 1
    assert full.frozen
    assert run.sparsity.records[-1].layers["0"]["frozen"] is True
    before = full.mask_OI.clone(), full.weight.detach().clone()
    for _ in range(3):
        learn(run, torch.zeros(2, 3))
        assert run.sparsity.records[-1].layers["0"]["overlap"] is None
    assert torch.equal(full.mask_OI, before[0])
    assert torch.equal(full.weight, before[1])


def test_layers_do_not_stop_below_the_threshold_or_without_one() -> None:
    run = one_layer("set", inputs=3)
    full = lay(run, "0", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    learn(run, torch.zeros(2, 3))
    assert run.sparsity.records[-1].overlap == 1
    assert not full.frozen
    rigl = one_layer("rigl", zeta=0.5, zeta_schedule="constant", early_stop=0.5)
    layer = lay(rigl, "0", WEIGHT)
    learn(rigl, GRADIENT)
    assert rigl.sparsity.records[-1].overlap == 0.5
    assert not layer.frozen


def test_percolation_takes_the_outputs_of_a_neuron_without_inputs() -> None:
    run, first, second = two_layers(
        [[5.0, 5, 5, 5], [5, 5, 0, 0], [0, 0, 0, 0]],
        [[1.0, 0, 5], [4, 4, 0], [3, 0, 0], [2, 0, 0]],
        zeta=0.2,
    )
    learn_nothing(run)
    assert second.weight.tolist() == [[0, 0, 0], [4, 4, 0], [3, 0, 0], [2, 0, 0]]  # 1 is the smallest, 5 is dead
    assert first.weight.count_nonzero() == 5
    assert (int(first.mask_OI.sum()), int(second.mask_OI.sum())) == (6, 6)


def test_percolation_takes_the_inputs_of_a_neuron_without_outputs() -> None:
    run, first, second = two_layers(
        [[1.0, 2, 0, 0], [0, 0, 3, 4], [5, 0, 0, 6]],
        [[1.0, 2, 0], [3, 4, 0], [5, 6, 0], [0, 0, 0]],
        zeta=0.0,
    )
    learn_nothing(run)
    assert first.weight.tolist() == [[1, 2, 0, 0], [0, 0, 3, 4], [0, 0, 0, 0]]
    assert second.weight.tolist() == [[1, 2, 0], [3, 4, 0], [5, 6, 0], [0, 0, 0]]
    assert (int(first.mask_OI.sum()), int(second.mask_OI.sum())) == (6, 6)


def test_percolation_that_empties_a_layer_is_an_error() -> None:
    run, *_ = two_layers(
        [[1.0, 2, 3, 0], [4, 5, 6, 0], [0, 0, 0, 0]], [[0.0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 0, 4]], zeta=0.0
    )
    with pytest.raises(UserError, match="percolation leaves layer '0' without a link after step 1"):
        learn_nothing(run)
    method = sparse_method("chts_n", topology="er", sparsity=0.995)
    with pytest.raises(UserError, match="without a link after step 0: nothing passes it"):
        training(method, widths=(20, 20, 20, 20, 20, 4))


def test_without_percolation_dead_neurons_keep_their_links() -> None:
    run, first, _ = two_layers(
        [[1.0, 2, 0, 0], [0, 0, 3, 4], [5, 0, 0, 6]],
        [[1.0, 2, 0], [3, 4, 0], [5, 6, 0], [0, 0, 0]],
        zeta=0.0,
        percolation=False,
    )
    learn_nothing(run)
    assert first.weight[2].tolist() == [5, 0, 0, 6]


def test_anp_counts_what_is_left_of_the_network() -> None:
    run = training(sparse_method("set", sparsity=0.5), widths=(4, 3, 4, 2))
    lay(run, "0", [[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])
    lay(run, "2", [[1.0, 0, 0], [0, 0, 0], [0, 0, 0], [3, 0, 0]])
    assert run.sparsity.anp() == (2 + 1 + 2) / (4 + 3 + 4)
    assert run.sparsity.links == 4
    assert run.sparsity.density == 4 / 24


@pytest.mark.parametrize("distribution", ["uniform", "erk"])
@pytest.mark.parametrize(("rule", "share"), [("swi", True), ("kaiming", False)])
def test_first_weights(distribution: str, rule: str, share: bool) -> None:
    method = sparse_method("set", weight_init=rule, distribution=distribution, sparsity=0.9)
    run = training(method, widths=(200, 300, 500, 2))
    densities = [mask.double().mean().item() for mask in run.sparsity.masks.values()]
    assert (densities[0] == pytest.approx(densities[1], rel=1e-3)) == (distribution == "uniform")
    assert run.sparsity.density == pytest.approx(0.1, abs=1e-4)
    for layer, density, fan_in in zip(run.sparsity.layers, densities, (200, 300), strict=True):
        links = layer.weight[layer.mask_OI]
        assert links.std().item() == pytest.approx(math.sqrt(2 / (fan_in * (density if share else 1))), rel=0.05)
        assert links.mean().abs() < 0.1 * links.std()


def test_a_model_may_keep_its_own_first_weights() -> None:
    run = training(sparse_method("set", weight_init="own"))
    own = perceptron(24, 32, 32, 32, 4)
    for layer in run.sparsity.layers:
        assert torch.equal(layer.weight, own.get_submodule(layer.name).weight * layer.mask_OI)


@pytest.mark.parametrize("topology", ["er", "brf", "bsw", "bsf", "csti", "csti_brf", "csti_er"])
def test_every_topology_serves_every_layer(topology: str) -> None:
    run = training(sparse_method("chts_n", topology=topology), total=8)
    assert [int(mask.sum()) for mask in run.sparsity.masks.values()] == [154, 205, 205]
    run.run(8)
    assert run.sparsity.links == 564


def test_resorted_hidden_layers_see_the_degrees_before_them() -> None:
    def second(resort: str) -> tuple[Tensor, Tensor]:
        method = sparse_method("set", topology={"rule": "bsf", "hidden": {"rule": "bsf", "resort": resort}})
        masks = list(training(method).sparsity.masks.values())
        return masks[0].sum(1), masks[1].sum(0)

    before, after = second("rigid")
    assert torch.equal(after[before.argsort(stable=True)].sort().values, after.sort().values)
    order = torch.corrcoef(
        torch.stack([before.double().argsort().argsort(), after.double().argsort().argsort()]).double()
    )
    assert order[0, 1] > 0.8
    before, after = second("none")
    assert torch.corrcoef(torch.stack([before.double(), after.double()]))[0, 1] < 0.8


def test_soft_removal_sharpens_over_training(monkeypatch: pytest.MonkeyPatch) -> None:
    exponents = []

    def noted(*arguments: Any, exponent: float | None, **rest: Any) -> Tensor:
        exponents.append(exponent)
        return original(*arguments, exponent=exponent, **rest)

    original = rewiring.remove
    monkeypatch.setattr(rewiring, "remove", noted)
    training(sparse_method("chts_n"), total=20, interval=5, widths=(24, 32, 4)).run(20)
    assert exponents == pytest.approx([delta / (1 - delta) for delta in (0.5625, 0.625, 0.6875)])


def test_every_layer_and_every_update_draws_anew() -> None:
    run = training(sparse_method("set"), widths=(32, 32, 32, 4), interval=1)
    first, second = run.sparsity.masks.values()
    assert not torch.equal(first, second)
    weight, grown = run.sparsity.layers[0].weight.tolist(), []
    for _ in range(2):
        layers = [lay(run, name, weight) for name in ("0", "2")]
        learn(run, torch.zeros(32, 32))
        grown += [layer.mask_OI & (layer.weight == 0) for layer in layers]
    assert all(not torch.equal(one, other) for one, other in combinations(grown, 2))


def test_soft_removal_from_delta_zero_is_uniform_and_works_on_new_links() -> None:
    method = sparse_method("chts_n", removal={"soft": {"delta_start": 0.0, "delta_end": 0.0}})
    assert training(method, interval=1, optimizer="sgd").run(24).sparsity.links == 564


def test_zeta_is_annealed() -> None:
    run = training(sparse_method("rigl"), total=41, interval=5).run(41)
    expected = [0.15 * (1 + math.cos(math.pi * step / 30)) for step in (5, 10, 15, 20, 25, 30)]
    assert [record.zeta for record in run.sparsity.records] == pytest.approx(expected)


def test_links_are_counted_over_steps() -> None:
    run = training(sparse_method("granet"))
    total = 0
    for _ in range(24):
        total += run.sparsity.links
        run.step()
    assert run.sparsity.link_steps == total
    assert training(sparse_method("fc")).run(3).sparsity.link_steps == 3 * (24 * 32 + 2 * 1024)


# ------------------------------------------------------------------ optimizers


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


def test_nothing_of_the_optimizer_or_the_model_is_patched() -> None:
    run = training(sparse_method("chts_n")).run(5)
    assert "step" not in vars(run.optimizer)
    assert not run.optimizer._optimizer_step_pre_hooks
    assert not run.optimizer._optimizer_step_post_hooks
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


# ---------------------------------------------------------------------- models


def test_a_convolutional_network() -> None:
    features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten())
    model = nn.Sequential(*features, nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.Adam(model.parameters())
    method = sparse_method("chts_n", topology="brf")
    sparsity = DynamicSparsity(model, optimizer, method, total_steps=8, update_interval=2, seed=0)
    for step in range(8):
        optimizer.zero_grad()
        model(normal(5, 1, 6, 6, seed=step)).square().sum().backward()
        sparsity.step()
    assert {name: int(mask.sum()) for name, mask in sparsity.masks.items()} == {"3": 192, "5": 80}
    assert model[0].weight.all()
    assert [record.step for record in sparsity.records] == [2, 4, 6]


def test_a_transformer_layer_with_junctions() -> None:
    model = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    optimizer = torch.optim.AdamW(model.parameters())
    method = sparse_method("chts_p", topology="brf", sparsity=0.6, weight_init="own")
    settings: dict[str, Any] = {"total_steps": 8, "update_interval": 2, "seed": 0, "layers": ["linear1", "linear2"]}
    with pytest.raises(UserError, match="pass chains="):
        DynamicSparsity(model, optimizer, method, **settings)
    with pytest.raises(UserError, match="unknown layer in a chain 'lineal1'"):
        DynamicSparsity(model, optimizer, method, **settings, chains=[["lineal1", "linear2"]])
    chains = [Junction(("linear1",), ("linear2",))]
    sparsity = DynamicSparsity(model, optimizer, method, **settings, chains=chains)
    for step in range(8):
        optimizer.zero_grad()
        model(normal(3, 5, 16, seed=step)).square().sum().backward()
        sparsity.step()
    assert {name: int(mask.sum()) for name, mask in sparsity.masks.items()} == {"linear1": 205, "linear2": 205}
    assert not model.linear1.weight[~sparsity.masks["linear1"]].any()


def test_layers_that_do_not_feed_each_other_need_no_chain() -> None:
    model = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings: dict[str, Any] = {"total_steps": 8, "update_interval": 2, "seed": 0, "layers": ["linear1", "linear2"]}
    method = sparse_method("chts_n", topology="er")
    assert len(DynamicSparsity(model, optimizer, method, **settings, chains=()).masks) == 2


def test_an_empty_list_of_chains_is_believed() -> None:
    model = perceptron(24, 32, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings: dict[str, Any] = {"total_steps": 8, "update_interval": 2, "seed": 0}
    for name in ("set", "chts_n"):
        method = sparse_method(name, topology="er")
        assert DynamicSparsity(model, optimizer, method, **settings, chains=()).chains == []
        assert DynamicSparsity(model, optimizer, method, **settings).chains == [["0", "2"]]


def test_features_are_asked_for_and_checked() -> None:
    with pytest.raises(UserError, match="pass features="):
        training(sparse_method("chts_n"), features=None)
    with pytest.raises(UserError, match=r"features of shape \[samples, 24\], not \(9, 23\)"):
        training(sparse_method("chts_n"), features=normal(9, 23))


def test_impossible_trainings_are_errors() -> None:
    for wrong in ({"total": 0}, {"interval": 0}):
        with pytest.raises(UserError, match="must be at least 1"):
            training(sparse_method("set"), **wrong)
    with pytest.raises(UserError, match="without any link"):
        training(sparse_method("set", sparsity=0.999), widths=(4, 5, 2))
    with pytest.raises(UserError, match="takes no 'p'"):
        training(sparse_method("set", topology={"p": 1}))


def test_a_state_of_other_layers_is_an_error() -> None:
    saved = training(sparse_method("set")).sparsity.state_dict()
    with pytest.raises(UserError, match="the saved sparse layers are"):
        training(sparse_method("set"), widths=(24, 32, 4)).sparsity.load_state_dict(saved)


# ------------------------------------------------------------------ public API


def test_signatures() -> None:
    parameters = inspect.signature(DynamicSparsity).parameters
    assert list(parameters) == [
        *(
            "model",
            "optimizer",
            "method",
            "total_steps",
            "update_interval",
            "seed",
            "layers",
            "chains",
            "features",
            "execution",
            "batch",
            "processes",
        )
    ]
    keyword = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    assert keyword == list(parameters)[3:]
    optional = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    assert optional == {
        "layers": None,
        "chains": None,
        "features": None,
        "execution": "dense",
        "batch": 32,
        "processes": ALONE,
    }

    parameters = inspect.signature(density_schedule).parameters
    assert list(parameters) == ["kind", "initial", "final", "total", "interval", "parameters"]
    assert parameters["final"].kind is parameters["total"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["final"].default is parameters["total"].default is inspect.Parameter.empty
    assert isinstance(density_schedule("fixed", final=0.5, total=3), DensitySchedule)
