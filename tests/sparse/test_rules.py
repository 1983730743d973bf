"""The rules at work in the engine, each on a case built for it."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import load_training_state, rewiring, training_state

from .by_hand import GRADIENT, WEIGHT, lay, learn, learn_nothing, one_layer, two_layers
from .small_networks import normal, perceptron, sparse_method, training


def test_rigl_grows_the_largest_gradients_of_absent_links() -> None:
    run = one_layer("rigl", zeta=0.5, zeta_schedule="constant")
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)
    # 0.5 and 1 go; of what is absent then, 90 and 7 come: 0.5 is back where it was, as if it had never left
    assert layer.mask_OI.tolist() == [[False, True, False, True], [False, False, True, True]]
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0.5, 4]]
    assert run.sparsity.records[-1].overlap == 0.5


@pytest.mark.parametrize("name", ["rigl", "granet"])
def test_gradient_methods_grow_by_the_dense_gradient_of_the_loss(name: str) -> None:
    run = training(sparse_method(name)).run(3)
    inputs = normal(16, run.model[0].in_features, seed=3)  # of the next step
    loss = nn.functional.cross_entropy(run.model(inputs), torch.arange(16).roll(3) % run.model[-1].out_features)
    gradients = torch.autograd.grad(loss, [layer.weight for layer in run.sparsity.layers])
    dense = {layer.name: gradient.abs() for layer, gradient in zip(run.sparsity.layers, gradients, strict=True)}
    run.backward()
    run.sparsity.apply_gradients()
    run.optimizer.zero_grad(set_to_none=True)  # the training loop's habit: the engine keeps what it needs
    before = {layer.name: layer.weight.detach().clone() for layer in run.sparsity.layers}
    assert run.sparsity.update_topology() is not None
    for layer in run.sparsity.layers:
        had = before[layer.name] != 0
        grown, absent, gone = layer.mask_OI & ~had, ~layer.mask_OI, had & ~layer.mask_OI
        assert grown.any()
        assert dense[layer.name][grown].min() >= dense[layer.name][absent].max()
        # what left is smaller than every link that stayed without being among the gradients that came
        stayed = had & layer.mask_OI & (dense[layer.name] < dense[layer.name][absent].max())
        assert before[layer.name][stayed].abs().min() >= before[layer.name][gone].abs().max()


def test_mest_removes_by_weight_and_gradient() -> None:
    run = one_layer("mest_ems", zeta=0.25, density="fixed", total=20)
    layer = lay(run, "0", WEIGHT)
    learn(run, GRADIENT)  # |W| + 0.01 |g|: 1, 2, 0.5 + 0.9, 4.8: the first goes although 0.5 is smaller
    assert layer.weight.tolist() == [[0, -2, 0, 0], [0, 0, 0.5, 4]]
    assert not layer.mask_OI[0, 0]


def test_mest_moves_its_extra_links_and_no_others() -> None:
    elastic = {"extra_early": 0.25, "extra_late": 0.125, "end": 1.0}  # 6 links of 8, then 5, then the target's 4
    run = one_layer("mest_ems", density=elastic, update_end=1.0)
    layer = lay(run, "0", [[1.0, -2.0, 3.0, 0], [0.25, 0.5, 0, 4.0]])
    assert (run.sparsity.links, run.sparsity.density) == (6, 0.75)
    learn(run, torch.zeros(2, 4))  # 0.5 and 0.25 go, two come at random
    assert layer.weight[layer.weight != 0].abs().min() >= 0.25
    assert {1.0, -2.0, 3.0, 4.0} <= set(layer.weight.flatten().tolist())
    assert (layer.count, run.sparsity.records[-1].zeta) == (6, pytest.approx(1 / 3))
    for _ in range(4):
        learn(run, torch.zeros(2, 4))
        assert layer.count == 6
    learn(run, torch.zeros(2, 4))  # step 6: the core of 4, and one more
    assert (layer.count, run.sparsity.records[-1].zeta) == (5, pytest.approx(0.125 / 0.625))
    for _ in range(3):
        learn(run, torch.zeros(2, 4))
    assert [record.zeta for record in run.sparsity.records][-3:] == [pytest.approx(0.2), pytest.approx(0.2), 0]
    assert sorted(layer.weight[layer.mask_OI].tolist()) == [-2, 1, 3, 4]  # step 9, the last update: the core alone
    assert run.sparsity.at_final_density


def test_mest_moves_five_sixths_of_its_links_at_one_percent() -> None:
    run = training(sparse_method("mest_ems", sparsity=0.99), widths=(100, 100, 100, 4))
    before = {layer.name: layer.weight.detach().clone() for layer in run.sparsity.layers}
    assert [layer.count for layer in run.sparsity.layers] == [600, 600]
    record = run.run(4).sparsity.records[-1]
    assert record.zeta == pytest.approx(5 / 6)
    for layer in run.sparsity.layers:
        old = layer.mask_OI & (before[layer.name] != 0)
        assert layer.count == 600
        assert 100 <= old.sum() <= 130  # the core, and what chance regrew of the 500 others: 6 in 100
        new, overlap = int(layer.count - old.sum()), record.layers[layer.name]["overlap"]
        assert new / (1 - overlap) == pytest.approx(500)


def test_mest_stops_where_its_density_has_reached_the_target() -> None:
    run = training(sparse_method("mest_ems", density={"end": 0.5})).run(24)
    assert [record.step for record in run.sparsity.records] == [4, 8, 12]  # and not 16, which update_end would allow
    assert run.sparsity.last_update() == 12


def test_zeta_plays_no_part_where_the_density_decides_what_moves() -> None:
    with pytest.raises(UserError, match=r"'em_s' of method 'MEST_EM&S' decides itself .* method.zeta must be 0"):
        sparse_method("mest_ems", zeta=0.3)
    with pytest.raises(UserError, match=r"method\.zeta must be 0"):
        sparse_method("chts_n", density="em_s")
    run = training(sparse_method("chts_n", density="em_s", zeta=0, sparsity=0.9)).run(4)
    assert run.sparsity.records[-1].zeta == pytest.approx(1 / 3)


@pytest.mark.parametrize("execution", ["dense", "csr"])
def test_a_link_that_is_removed_and_regrown_at_once_never_left(execution: str) -> None:
    """All 6 pairs are links, so the 3 that go are the 3 that come."""
    run = training(
        sparse_method("set", zeta=0.5, sparsity=0.01), "adam", interval=2, widths=(3, 2, 2), execution=execution
    )
    layer = run.sparsity.layers[0]
    assert layer.count == 6
    run.run(1)
    run.backward()
    run.sparsity.apply_gradients()
    before = layer.state()
    record = run.sparsity.update_topology()
    after = layer.state()
    assert record is not None
    assert (record.overlap, record.zeta) == (1, 0.5)
    assert torch.equal(after.weight_K, before.weight_K)
    assert before.buffers.keys() == after.buffers.keys() == {"exp_avg", "exp_avg_sq"}
    for key, buffer_K in before.buffers.items():
        assert buffer_K.all()
        assert torch.equal(after.buffers[key], buffer_K)


@pytest.mark.parametrize("execution", ["dense", "csr"])
def test_regrown_links_can_be_reset(execution: str) -> None:
    method = sparse_method("set", zeta=0.5, sparsity=0.01, regrown_links="reset")
    run = training(method, "adam", interval=2, widths=(3, 2, 2), execution=execution).run(1)
    layer = run.sparsity.layers[0]
    run.backward()
    run.sparsity.apply_gradients()
    before = layer.state()
    record = run.sparsity.update_topology()
    after = layer.state()
    assert record is not None
    assert record.overlap == 1  # what is recorded does not depend on it
    smallest = before.weight_K.abs().argsort()[:3]
    for old_K, new_K in zip(
        (before.weight_K, *before.buffers.values()), (after.weight_K, *after.buffers.values()), strict=True
    ):
        expected = old_K.clone()
        expected[smallest] = 0
        assert torch.equal(new_K, expected)
    with pytest.raises(UserError, match=r"regrows no links, so method\.regrown_links must be keep"):
        sparse_method("gmp", regrown_links="reset")


@pytest.mark.parametrize(("regrown", "weight"), [("keep", 6), ("reset", 0)])
def test_percolated_links_that_are_regrown_never_left(regrown: str, weight: float) -> None:
    """Neuron 2 leads nowhere, so 5 and 6 go; 6 happens to be among what is regrown."""
    run, first, _ = two_layers(
        [[1.0, 2, 0, 0], [0, 0, 3, 4], [5, 0, 0, 6]],
        [[1.0, 2, 0], [3, 4, 0], [5, 6, 0], [0, 0, 0]],
        zeta=0.0,
        regrown_links=regrown,
    )
    learn_nothing(run)
    assert run.sparsity.records[-1].layers["0"]["overlap"] == 0.5
    assert first.mask_OI[2].tolist() == [False, True, False, True]
    assert first.weight.tolist() == [[1, 2, 0, 0], [0, 0, 3, 4], [0, 0, 0, weight]]


def test_what_is_pruned_and_regrown_at_once_never_left() -> None:
    """A falling density takes 0.5 and 0.25; its gradient brings one of them back in the same update."""
    density = {"kind": "cubic", "initial_sparsity": 0.25, "prune": "wm", "start": 0.0, "end": 0.1}
    run = one_layer("granet", density=density, sparsity=0.5, zeta=0.25)
    layer = lay(run, "0", [[1.0, -2.0, 3.0, 0], [0.25, 0.5, 0, 4.0]])
    learn(run, torch.tensor([[0.0, 0, 0, 0], [0, 9.0, 0, 0]]))  # 4 links: 0.25, 0.5 are pruned, 1 goes, 0.5 comes
    assert layer.weight.tolist() == [[0, -2, 3, 0], [0, 0.5, 0, 4]]


def test_set_removes_smallest_weights_exactly() -> None:
    run = one_layer("set", zeta=0.5, regrown_links="reset")
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
    learn(run, GRADIENT)  # as above: 0.5 is back, 1 went
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
    learn(run, torch.tensor([[1e-9, 1, 5, 0], [0, 1, 1, 1]]))  # and 5 comes
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


def test_the_topology_stops_when_its_only_layer_regrows_what_it_lost() -> None:
    run = one_layer("cht", topology="er", percolation=False, inputs=3, sparsity=0.33, zeta=0.5)
    full = lay(run, "0", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    learn(run, torch.zeros(2, 3))
    [record] = run.sparsity.records
    assert (record.overlap, record.zeta, record.layers["0"]["flagged"]) == (1, 0.5, True)
    before = full.mask_OI.clone(), full.weight.detach().clone()
    for _ in range(3):
        learn(run, torch.zeros(2, 3))
        assert not run.sparsity.update_due
    assert run.sparsity.records == [record]
    assert torch.equal(full.mask_OI, before[0])
    assert torch.equal(full.weight, before[1])


def test_flagged_layers_evolve_until_all_are_flagged_and_stop_together() -> None:
    method = sparse_method("cht", topology="er", percolation=False, sparsity=0.5, zeta=0.5)
    run = training(method, total=20, interval=1, widths=(3, 2, 4, 2))
    first, second = run.sparsity.layers
    full = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]  # has no other pair to grow
    lay(run, "0", full)
    free = lay(run, "2", [[1.0, 2.0], [0, 0], [0, 0], [3.0, 4.0]])
    learn_nothing(run)
    assert first.flagged
    assert not second.flagged
    assert run.sparsity.records[-1].overlap < 0.9
    lay(run, "0", full)  # one that is flagged goes on
    learn_nothing(run)
    assert run.sparsity.records[-1].layers["0"]["overlap"] == 1
    assert run.sparsity.update_topology() is None
    lay(run, "2", [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    learn_nothing(run)
    assert (free.flagged, run.sparsity.records[-1].layers["2"]["overlap"]) == (True, 1)
    stopped = len(run.sparsity.records)
    run.run(3)
    assert len(run.sparsity.records) == stopped


def test_a_flag_stays_when_the_overlap_falls_again() -> None:
    method = sparse_method("cht", topology="er", percolation=False, sparsity=0.5, zeta=0.5)
    run = training(method, total=20, interval=1, widths=(3, 2, 4, 2))
    first = lay(run, "0", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    learn_nothing(run)
    assert first.flagged
    lay(run, "0", [[1.0, 2.0, 0], [4.0, 0, 0]])
    learn_nothing(run)
    assert run.sparsity.records[-1].layers["0"]["overlap"] < 0.9
    assert first.flagged


def test_a_stopped_topology_still_follows_a_falling_density() -> None:
    run = training(sparse_method("chtss_n", early_stop=0.0, topology="er"), interval=2, total=24)
    run.run(24)
    flagged = [all(layer["flagged"] for layer in record.layers.values()) for record in run.sparsity.records]
    zetas = [record.zeta for record in run.sparsity.records]
    assert True in flagged[:-1]
    assert not any(zetas[flagged.index(True) + 1 :])
    assert run.sparsity.last_update() == run.sparsity.records[-1].step == 18
    assert run.sparsity.at_final_density


def test_a_resumed_training_stays_stopped_and_knows_its_last_update() -> None:
    def begun() -> Any:
        return training(sparse_method("cht", early_stop=0.0), interval=2)

    whole = begun()
    assert whole.sparsity.last_update() == 24
    whole.run(10)
    assert all(layer.flagged for layer in whole.sparsity.layers)
    assert whole.sparsity.last_update() == whole.sparsity.records[-1].step < 10
    resumed = begun()
    load_training_state(resumed.sparsity, training_state(whole.sparsity))
    assert resumed.sparsity.last_update() == whole.sparsity.last_update()
    assert len(resumed.run(14).sparsity.records) == len(whole.run(14).sparsity.records)


def test_layers_are_not_flagged_below_the_threshold_or_without_one() -> None:
    run = one_layer("set", inputs=3)
    full = lay(run, "0", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    learn(run, torch.zeros(2, 3))
    assert run.sparsity.records[-1].overlap == 1
    assert not full.flagged
    rigl = one_layer("rigl", zeta=0.5, zeta_schedule="constant", early_stop=0.5)
    layer = lay(rigl, "0", WEIGHT)
    learn(rigl, GRADIENT)
    assert rigl.sparsity.records[-1].overlap == 0.5
    assert not layer.flagged


def test_percolation_takes_the_outputs_of_a_neuron_without_inputs() -> None:
    run, first, second = two_layers(
        [[5.0, 5, 5, 5], [5, 5, 0, 0], [0, 0, 0, 0]],
        [[1.0, 0, 5], [4, 4, 0], [3, 0, 0], [2, 0, 0]],
        zeta=0.2,
        regrown_links="reset",
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
        regrown_links="reset",
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
    assert exponents == pytest.approx([1.5, 2, 2.5])  # from 1 to 3 over all of training
    exponents.clear()
    annealed = sparse_method("chts_n", update_end=0.5, removal={"soft": {"delta_end": 0.9}})
    training(annealed, total=20, interval=5, widths=(24, 32, 4)).run(20)
    assert exponents == pytest.approx([5, 9])  # from 1 to 9, which it reaches where rewiring ends
    exponents.clear()
    in_delta = sparse_method("chts_n", update_end=0.5, removal={"soft": {"schedule": "delta"}})
    training(in_delta, total=20, interval=5, widths=(24, 32, 4)).run(20)
    assert exponents == pytest.approx([delta / (1 - delta) for delta in (0.5625, 0.625)])  # linear over all of training


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
