"""Rules of plug-ins at work: what they read is what there is, and wrong scores are an error and no other topology."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import plugin_files
import pytest
import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.plugins import density, regrowth, removal, topology
from chtexp.sparse import load_method

from .small_networks import Training, sparse_method, training

EXECUTIONS = ["dense", "csr"]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


def masks(run: Training) -> list[Tensor]:
    return list(run.sparsity.masks.values())


def same(one: Training, other: Training) -> bool:
    return all(torch.equal(mine, its) for mine, its in zip(masks(one), masks(other), strict=True))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_rule_that_does_what_a_shipped_one_does_trains_the_same_network(execution: str) -> None:
    """RigL from a plug-in: it reads the gradient as it was before masking, and the weights as they are."""
    regrowth("like_rigl")(lambda gradient_OI: gradient_OI.abs())
    removal("like_wm")(lambda weight_K: weight_K.abs())
    removal("like_wm_of_pairs")(lambda weight_OI: weight_OI.abs())
    shipped = training(sparse_method("rigl"), execution=execution).run(20)
    for rule in ("like_wm", "like_wm_of_pairs"):
        method = sparse_method("rigl", regrowth={"rule": "like_rigl"}, removal={"rule": rule})
        assert same(training(method, execution=execution).run(20), shipped)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_everything_that_may_be_read_is_that_of_the_layer(execution: str) -> None:
    seen: list[dict] = []

    def spy(mask_OI: Tensor, weight_OI: Tensor, gradient_OI: Tensor, links, generator: torch.Generator) -> Tensor:
        seen.append({"mask": mask_OI.clone(), "weight": weight_OI, "gradient": gradient_OI, "links": links})
        return torch.rand(mask_OI.shape, generator=generator)

    regrowth("spy")(spy)
    run = training(sparse_method("set", regrowth={"rule": "spy"}), execution=execution).run(3)
    run.backward()
    before = [layer.state() for layer in run.sparsity.layers]
    weights = [state.links.mask().float() for state in before]
    run.sparsity.step()
    for index, one in enumerate(seen):
        assert one["links"].shape == tuple(one["mask"].shape) == one["weight"].shape == one["gradient"].shape
        assert torch.equal(one["links"].mask(), one["mask"])
        assert (one["mask"].float() <= weights[index]).all(), "what is removed is no link any more"
        assert (one["weight"] != 0).equal(one["mask"])
        assert (one["gradient"][~one["mask"]] != 0).any(), "the gradient is that of all pairs"
    assert len(seen) == len(run.sparsity.layers)


def test_draws_of_a_rule_depend_on_seed_layer_and_step_alone() -> None:
    drawn: list[float] = []

    def draw(mask_OI: Tensor, generator: torch.Generator) -> Tensor:
        torch.rand(len(drawn) % 3, generator=generator)  # what a rule draws changes nothing elsewhere
        drawn.append(float(torch.rand(1, generator=generator.clone_state())))
        return torch.rand(mask_OI.shape, generator=generator)

    regrowth("drawn")(draw)
    method = sparse_method("set", regrowth={"rule": "drawn"})
    once = training(method).run(8)
    first = list(drawn)
    drawn.clear()
    assert same(training(method).run(8), once)
    assert drawn == first
    assert len(set(first)) == len(first)
    assert not same(training(method, seed=1).run(8), once)


WRONG: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "shape": (lambda mask_OI: mask_OI.sum(1).float(), r"must return scores \[32, 24\], not a tensor \[32\]"),
    "type": (lambda mask_OI: None, r"must return scores \[32, 24\], not NoneType"),
    "negative": (lambda mask_OI: -mask_OI.float(), "must return finite scores from 0 on, not -1"),
    "nan": (lambda mask_OI: mask_OI.float() / 0, "must return finite scores from 0 on, not"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_scores_of_pairs(what: str) -> None:
    rule, said = WRONG[what]
    regrowth("wrong")(rule)
    with pytest.raises(UserError, match=f"regrowth wrong {said}"):
        training(sparse_method("set", regrowth={"rule": "wrong"})).run(4)


def test_wrong_scores_of_links() -> None:
    removal("wrong")(lambda weight_K: weight_K[1:].abs())
    with pytest.raises(UserError, match=r"removal wrong must return scores \[\d+\] or \[32, 24\], not a tensor"):
        training(sparse_method("set", removal={"rule": "wrong"})).run(4)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda out_features, in_features: torch.ones(out_features, in_features).bool(), r"lay out 154 links.*not 768"),
        (
            lambda out_features, in_features: torch.ones(out_features, in_features),
            r"a bool tensor \[32, 24\], not torch.float32",
        ),
        (lambda links: links, r"a bool tensor \[32, 24\], not int"),
    ],
)
def test_a_topology_lays_out_as_many_links_as_it_is_asked_for(rule: Callable, said: str) -> None:
    topology("wrong")(rule)
    with pytest.raises(UserError, match=f"topology wrong must .*{said}"):
        training(sparse_method("set", topology={"rule": "wrong"}))


def test_a_topology_reads_what_csti_reads() -> None:
    asked: list[Tensor] = []

    def correlated(links: int, out_features: int, in_features: int, correlation: Tensor) -> Tensor:
        asked.append(correlation)
        return (torch.arange(out_features * in_features) < links).view(out_features, in_features)

    topology("correlated")(correlated)
    method = sparse_method("set", topology={"rule": "correlated", "hidden": {"rule": "er"}})
    assert method.correlates_features
    training(method, features=torch.randn(50, 24))
    assert [tuple(one.shape) for one in asked] == [(24, 24)]


def test_a_rule_that_is_known_by_name_alone_cannot_train() -> None:
    from chtexp.config.plugged import PLUGGED

    PLUGGED.declare("regrowth", "elsewhere", "other_module")
    with pytest.raises(
        UserError, match="regrowth elsewhere is registered by the plug-in 'other_module', which is not here"
    ):
        training(load_method("set", sparsity=0.8, regrowth={"rule": "elsewhere"})).run(4)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_rule_may_write_into_what_it_reads(execution: str) -> None:
    """It gets copies: else a careless `abs_()` would change the network in silence."""

    def careless(weight_K: Tensor, gradient_K: Tensor) -> Tensor:
        gradient_K.zero_()
        return weight_K.abs_()

    def careless_too(mask_OI: Tensor, weight_OI: Tensor, gradient_OI: Tensor) -> Tensor:
        score_OI = gradient_OI.abs()
        for read in (mask_OI, weight_OI, gradient_OI):
            read.zero_()
        return score_OI

    removal("careless")(careless)
    regrowth("careless")(careless_too)
    method = sparse_method("rigl", removal={"rule": "careless"}, regrowth={"rule": "careless"})
    one, other = (training(each, execution=execution).run(20) for each in (method, sparse_method("rigl")))
    assert same(one, other)
    for mine, its in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_parameters_reach_the_functions() -> None:
    told: dict[str, object] = {}

    def note(kind: str, value: object) -> None:
        told[kind] = value

    def laid_out(out_features: int, in_features: int, links: int, *, where: float = 0.0) -> Tensor:
        note("topology", where)
        return (torch.arange(out_features * in_features) < links).view(out_features, in_features)

    def removed(weight_K: Tensor, *, much: int = 0) -> Tensor:
        note("removal", much)
        return weight_K.abs()

    def grown(mask_OI: Tensor, *, power: float = 0.0) -> Tensor:
        note("regrowth", power)
        return mask_OI.float()

    def fell(step: int, final: float, total: int, interval: int, initial: float, *, at: float = 0.1) -> float:
        note("density", (at, total, interval))
        return initial if step < at * total else final

    topology("told")(laid_out)
    removal("told")(removed)
    regrowth("told")(grown)
    density("told")(fell)
    method = sparse_method(
        "set",
        topology={"rule": "told", "where": 1.5},
        removal={"rule": "told", "much": 2},
        regrowth={"rule": "told", "power": 2.5},
        density={"kind": "told", "initial_sparsity": 0.5, "at": 0.4},
    )
    run = training(method)
    assert run.sparsity.density == pytest.approx(0.5, abs=0.01)
    run.run(8)
    assert run.sparsity.density == pytest.approx(0.5, abs=0.01)
    assert told == {"topology": 1.5, "removal": 2, "regrowth": 2.5, "density": (0.4, 24, 4)}
    told.clear()
    run.run(13)  # the density falls: links are pruned by the removal rule, with its parameters
    assert run.sparsity.density == pytest.approx(0.2, abs=0.01)
    assert told["removal"] == 2


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_the_gradient_of_links_is_theirs(execution: str) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(gradient_K: Tensor, gradient_OI: Tensor, links) -> Tensor:
        seen.append((gradient_K, links.take(gradient_OI)))
        return gradient_K.abs()

    removal("spy")(spy)
    training(sparse_method("set", removal={"rule": "spy"}), execution=execution).run(4)
    assert seen
    assert all(torch.equal(*pair) and pair[0].any() for pair in seen)


def test_a_removal_rule_draws_anew_for_each_layer_and_step() -> None:
    drawn: list[float] = []

    def draw(weight_K: Tensor, generator: torch.Generator) -> Tensor:
        drawn.append(float(torch.rand(1, generator=generator)))
        return weight_K.abs()

    removal("drawn")(draw)
    training(sparse_method("set", removal={"rule": "drawn"})).run(8)
    assert len(drawn) == len(set(drawn)) == 6


def test_a_topology_reads_the_degrees_of_the_layer_before() -> None:
    seen: list[Tensor | None] = []

    def after(links: int, out_features: int, in_features: int, previous_output_degrees: Tensor | None) -> Tensor:
        seen.append(previous_output_degrees)
        return (torch.arange(out_features * in_features) < links).view(out_features, in_features)

    topology("after")(after)
    run = training(sparse_method("set", topology={"rule": "after"}))
    first, second, third = seen
    assert first is None
    assert [torch.equal(second, masks(run)[0].sum(1)), torch.equal(third, masks(run)[1].sum(1))] == [True, True]
