"""The rules at work in the engine, each on a case built for it."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.sparse import rewiring

from .by_hand import GRADIENT, WEIGHT, lay, learn, learn_nothing, one_layer, two_layers
from .small_networks import perceptron, sparse_method, training


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
