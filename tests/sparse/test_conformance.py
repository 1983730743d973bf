"""What every method of `conf/method` promises: real gradients, several optimizers, both executions, and convolutions."""

from __future__ import annotations

import copy
import io
import math
import random
from dataclasses import dataclass
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from chtexp.sparse import UpdateRecord, load_training_state, method_names, training_state
from chtexp.sparse.layer import SparseLayer

from .small_networks import OPTIMIZERS, Training, method_for, sparse_method, training

TOTAL, INTERVAL = 24, 4
METHODS = method_names()
SPARSE = [name for name in METHODS if not name.endswith("fc")]


@dataclass
class Layer:
    """One layer at one moment."""

    mask: Tensor
    weight: Tensor
    gradient: Tensor
    moments: dict[str, Tensor]


@dataclass
class Moment:
    """After `step` steps: the layers before the topology update and after it."""

    step: int
    before: dict[str, Layer]
    after: dict[str, Layer]
    record: UpdateRecord | None
    backward: dict[str, Tensor]


def photograph(run: Training) -> dict[str, Layer]:
    return {layer.name: matrices(run, layer) for layer in run.sparsity.layers}


def matrices(run: Training, layer: SparseLayer) -> Layer:
    """Everything of a layer in matrix form, whatever its execution; nothing that is there is left out."""
    moments = run.moments(layer.weight)
    if layer.execution == "dense":
        held = (layer.weight.detach(), layer.weight.grad, *moments.values())
        assert all(tensor.shape == layer.linear.weight.shape for tensor in held)
        weight, gradient, *buffers = (tensor.clone().reshape(layer.mask_OI.shape) for tensor in held)
    else:
        links = len(layer.links)
        assert layer.weight.shape == layer.weight.grad.shape == (links,)
        assert all(buffer.shape == (links,) for buffer in moments.values())
        weight, gradient, *buffers = (
            torch.zeros(layer.shape).masked_scatter(layer.mask_OI, values)
            for values in (layer.weight.detach(), layer.weight.grad, *moments.values())
        )
    return Layer(layer.mask_OI.clone(), weight, gradient, dict(zip(moments, buffers, strict=True)))


NETWORKS = {"mlp": [154, 205, 205], "cnn": [173, 216, 288]}  # links in the end
WHOLE = [name for name in SPARSE if "/" not in name]
VARIED = [
    name for name in SPARSE if "/" in name
]  # made of the same parts, with other numbers: one optimizer each, in turn
CASES = [(m, o, e, "mlp") for m in WHOLE for o in OPTIMIZERS for e in ("dense", "csr")]
CASES += [(m, list(OPTIMIZERS)[i % 3], e, "mlp") for i, m in enumerate(VARIED) for e in ("dense", "csr")]
CASES += [(m, list(OPTIMIZERS)[i % 3], "dense", "cnn") for i, m in enumerate(SPARSE)]
WAYS = [("mlp", "dense"), ("mlp", "csr"), ("cnn", "dense")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def trace(request: pytest.FixtureRequest) -> tuple[Training, list[Moment]]:
    """A whole training, photographed before and after every topology update that might happen."""
    name, optimizer, execution, network = request.param
    method = method_for(network, name)
    run = training(method, optimizer, total=TOTAL, interval=INTERVAL, execution=execution, network=network)
    moments = []
    for step in range(1, TOTAL + 1):
        run.backward()
        backward = {name: layer.gradient for name, layer in photograph(run).items()}
        run.sparsity.apply_gradients()
        before = photograph(run)
        record = run.sparsity.update_topology()
        moments.append(Moment(step, before, photograph(run), record, backward))
    return run, moments


def updates(moments: list[Moment]) -> list[tuple[Moment, Layer, Layer]]:
    return [(m, m.before[name], m.after[name]) for m in moments if m.record for name in m.before]


def test_the_number_of_links_is_that_of_the_schedule_at_every_step(trace: tuple[Training, list[Moment]]) -> None:
    run, moments = trace
    schedule = run.sparsity.method.schedule(TOTAL, INTERVAL)
    for moment in moments:
        last_update = min(moment.step, TOTAL - 1) // INTERVAL * INTERVAL
        for layer in moment.after.values():
            assert layer.mask.sum() == round(schedule(last_update) * layer.mask.numel())
    assert [int(mask.sum()) for mask in run.sparsity.masks.values()] == NETWORKS[network_of(run)]
    assert run.sparsity.links == sum(NETWORKS[network_of(run)])
    assert run.sparsity.at_final_density


def test_absent_links_have_no_weight_no_gradient_and_no_moments(trace: tuple[Training, list[Moment]]) -> None:
    for moment in trace[1]:
        for layer in (*moment.before.values(), *moment.after.values()):
            assert layer.moments
            for tensor in (layer.weight, layer.gradient, *layer.moments.values()):
                assert not tensor[~layer.mask].any()


def test_between_updates_the_links_stay_and_learn(trace: tuple[Training, list[Moment]]) -> None:
    run, moments = trace
    first = training(
        run.sparsity.method, total=TOTAL, interval=INTERVAL, network=network_of(run)
    )  # before the first step
    now = {name: mask.clone() for name, mask in first.sparsity.masks.items()}
    weights = {layer.name: layer.weight.detach().reshape(layer.shape) for layer in first.sparsity.layers}
    for moment in moments:
        for name, layer in moment.before.items():
            assert torch.equal(layer.mask, now[name])
            assert torch.equal(layer.gradient, moment.backward[name] * layer.mask)
            assert (layer.weight != weights[name])[layer.mask].any()
            if moment.record is None:
                assert torch.equal(moment.after[name].mask, layer.mask)
                assert torch.equal(moment.after[name].weight, layer.weight)
        now = {name: layer.mask for name, layer in moment.after.items()}
        weights = {name: layer.weight for name, layer in moment.after.items()}


def test_an_update_keeps_links_with_their_weights_and_starts_new_ones_from_nothing(
    trace: tuple[Training, list[Moment]],
) -> None:
    run, moments = trace
    history = run.sparsity.method.history_weights
    for _, before, after in updates(moments):
        new = after.mask & ~before.mask
        for buffer in after.moments.values():
            assert not buffer[new].any()
        if not history:
            assert not after.weight[new].any()
        # what is a link before and after has never left, also where it was removed and regrown
        both = before.mask & after.mask
        assert both.any()
        assert torch.equal(after.weight[both], before.weight[both])
        for key, buffer in after.moments.items():
            assert torch.equal(buffer[both], before.moments[key][both])


def test_an_update_removes_the_share_zeta_of_the_links(trace: tuple[Training, list[Moment]]) -> None:
    run, moments = trace
    method = run.sparsity.method
    core = method.schedule(TOTAL, INTERVAL).core
    for moment in moments:
        for name, before in moment.before.items() if moment.record and method.removal else ():
            after = moment.after[name]
            links = int(after.mask.sum())
            kept = links - round(moment.record.zeta * links)
            if core is not None:
                kept = round(core * after.mask.numel())
                assert moment.record.zeta == pytest.approx(1 - kept / links, abs=1 / links)
            # of what was regrown, the overlap had just been a link and the rest is new
            overlap = moment.record.layers[name]["overlap"]
            new = int((after.mask & ~before.mask).sum())
            if overlap is None:
                assert (new, kept) == (0, links)
            elif overlap < 1:
                regrown = new / (1 - overlap)
                assert regrown == pytest.approx(links - kept) or (method.percolation and regrown > links - kept)


@pytest.mark.parametrize("name", [name for name in SPARSE if sparse_method(name).removal])
def test_what_is_removed_shows_where_regrown_links_are_reset(name: str) -> None:
    method = sparse_method(name, regrown_links="reset")
    run = training(method, total=TOTAL, interval=INTERVAL)
    core = method.schedule(TOTAL, INTERVAL).core
    for _ in range(TOTAL):
        run.backward()
        run.sparsity.apply_gradients()
        before = photograph(run)
        record = run.sparsity.update_topology()
        for name, after in photograph(run).items() if record else ():
            links = int(after.mask.sum())
            kept = links - round(record.zeta * links) if core is None else round(core * after.mask.numel())
            stayed = before[name].mask & after.mask & (after.weight == before[name].weight) & (before[name].weight != 0)
            zeros = before[name].mask & (before[name].weight == 0)  # kept or reset, who can tell
            assert stayed.sum() <= kept
            if not method.percolation:
                assert stayed.sum() >= kept - zeros.sum()


def test_updates_come_on_time_and_never_after_the_last_step(trace: tuple[Training, list[Moment]]) -> None:
    run, moments = trace
    steps = {
        "static": [],
        "gmp": [4, 8, 12, 16],  # while the density falls, to 80% of training
        "rigl": [4, 8, 12, 16],  # to 75% of training
        "mest_ems": [4, 8, 12, 16],
    }
    name = next(name for name in SPARSE if method_for(network_of(run), name) == run.sparsity.method)
    steps |= {name: [4, 8, 12, 16] for name in SPARSE if name.startswith(("llama/", "transformer/"))}  # to 75 or 80%
    steps["transformer/set"] = [4, 8, 12, 16, 20]
    due, records = steps.get(name, [4, 8, 12, 16, 20]), run.sparsity.records
    if records and all(
        layer["flagged"] for layer in records[-1].layers.values()
    ):  # the early stop: none comes after that
        assert not all(layer["flagged"] for record in records[:-1] for layer in record.layers.values())
        due = due[: len(records)]
    assert [m.step for m in moments if m.record] == [record.step for record in records] == due


def test_records_tell_what_the_masks_show(trace: tuple[Training, list[Moment]]) -> None:
    run, moments = trace
    start = training(run.sparsity.method, total=TOTAL, interval=INTERVAL, network=network_of(run))
    ever = {name: mask.clone() for name, mask in start.sparsity.masks.items()}
    previous = 0.0
    for moment in moments:
        record = moment.record
        if record is None:
            continue
        masks = {name: layer.mask for name, layer in moment.after.items()}
        for name, mask in masks.items():
            ever[name] |= mask
            assert record.layers[name]["density"] == mask.double().mean().item()
        pairs = sum(mask.numel() for mask in masks.values())
        assert record.density == sum(int(mask.sum()) for mask in masks.values()) / pairs
        assert record.itop == sum(int(mask.sum()) for mask in ever.values()) / pairs
        assert previous <= record.itop
        previous = record.itop
        rates = [record.density, record.anp, record.itop, record.zeta]
        rates += [rate for rate in (record.overlap,) if rate is not None]
        assert all(math.isfinite(rate) and 0 <= rate <= 1 for rate in rates)
    assert run.sparsity.itop() >= previous


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_dense_training_is_plain_training(optimizer: str, network: str) -> None:
    run = training(sparse_method("fc"), optimizer, network=network)
    plain = copy.deepcopy(run.model)
    weights = OPTIMIZERS[optimizer](plain.parameters())
    for step in range(TOTAL):
        assert run.step() is None
        weights.zero_grad()
        labels = torch.arange(16).roll(step) % 4
        nn.functional.cross_entropy(plain(run.inputs(seed=step)), labels).backward()
        weights.step()
    assert same(run.model.state_dict(), plain.state_dict())
    assert (run.sparsity.masks, run.sparsity.records) == ({}, [])
    assert run.sparsity.links == run.sparsity.pairs == {"mlp": 24 * 32 + 2 * 32 * 32, "cnn": 864 + 1080 + 1440}[network]
    assert run.sparsity.density == run.sparsity.anp() == run.sparsity.itop() == 1
    assert run.sparsity.at_final_density


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SPARSE)
def test_the_seed_alone_decides_the_masks(name: str, network: str) -> None:
    method = method_for(network, name)
    runs = []
    for noise, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(noise)
        run = training(method, seed=seed, total=12, interval=3, network=network)
        for _ in range(12):
            torch.rand(noise)  # what else draws from the global generator must not matter
            run.step()
        runs.append(run)
    first, again, other = runs
    assert same(first.sparsity.masks, again.sparsity.masks)
    assert same(first.model.state_dict(), again.model.state_dict())
    assert not same(first.sparsity.masks, other.sparsity.masks)


@pytest.mark.parametrize("name", METHODS)
def test_global_random_states_are_left_alone(name: str) -> None:
    random.seed(5), numpy.random.seed(5), torch.manual_seed(5)
    before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    training(sparse_method(name), total=12, interval=3).run(12)
    after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


@pytest.mark.parametrize(("network", "execution"), WAYS)
@pytest.mark.parametrize(("name", "optimizer"), [(m, ("adam", "sgd")[i % 2]) for i, m in enumerate(METHODS)])
def test_resumed_training_equals_uninterrupted_training_from_every_step(
    name: str, optimizer: str, network: str, execution: str
) -> None:
    method, total = method_for(network, name), 12
    whole = training(method, optimizer, total=total, interval=3, execution=execution, network=network)
    saved = [save(whole)]
    for _ in range(total):
        whole.step()
        saved.append(save(whole))
    for step in range(total):
        resumed = training(method, optimizer, total=total, interval=3, execution=execution, network=network)
        load(resumed, saved[step])
        assert resumed.sparsity.steps == step
        resumed.run(total - step)
        assert same(everything(resumed), everything(whole))


@pytest.mark.parametrize("name", [name for name in METHODS if not sparse_method(name).needs_gradient])
def test_resuming_between_the_optimizer_step_and_the_update(name: str) -> None:
    whole = training(sparse_method(name)).run(3)
    whole.backward()
    whole.sparsity.apply_gradients()
    resumed = training(whole.sparsity.method)
    load(resumed, save(whole))
    whole.sparsity.update_topology()
    resumed.sparsity.update_topology()
    assert same(everything(resumed), everything(whole))


def network_of(run: Training) -> str:
    return "cnn" if isinstance(run.model[0], nn.Conv2d) else "mlp"


def everything(run: Training) -> dict[str, Any]:
    return training_state(run.sparsity)


def save(run: Training) -> bytes:
    file = io.BytesIO()
    torch.save(everything(run), file)
    return file.getvalue()


def load(run: Training, saved: bytes) -> None:
    load_training_state(run.sparsity, torch.load(io.BytesIO(saved), weights_only=True))


def same(one: Any, other: Any) -> bool:
    """Equality to the bit of nested dicts, lists and tensors."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
