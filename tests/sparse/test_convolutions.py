"""Convolutions in dynamic sparse training: channels as neurons, weights in their own shapes, and what is refused."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from chtexp.config.distribution import layer_densities
from chtexp.errors import UserError
from chtexp.sparse import (
    DynamicSparsity,
    dense_weights,
    load_training_state,
    method_names,
    portable_weights,
    training_state,
)
from chtexp.sparse.wiring import columns_of_neurons, plain_chains, sparse_layers
from chtexp.topology import Junction, anp, percolate

from .small_networks import OPTIMIZERS, convolutional, method_for, normal, perceptron, sparse_method, training


def sparsify(model: nn.Module, name: str = "set", optimizer: str = "sgd", **arguments: Any) -> DynamicSparsity:
    method = method_for("cnn", name) if isinstance(name, str) else name
    defaults: dict[str, Any] = {"total_steps": 12, "update_interval": 3, "seed": 0}
    return DynamicSparsity(model, OPTIMIZERS[optimizer](model.parameters()), method, **(defaults | arguments))


# ---------------------------------------------------------------------- percolation over channels


def test_a_dead_channel_takes_all_its_columns_with_it() -> None:
    """Two channels into two, by kernels of 1 x 3: by hand."""
    first = torch.tensor([[1, 1], [0, 0]]).bool()  # channel 1 has no link from below
    second = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]).bool()  # output 1 hears channel 1 alone
    third = torch.tensor([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]).bool()  # row 1 hears output 1 alone
    left = percolate([first, second, third], [[0, 1, 2]], {1: 3, 2: 3})
    assert left[0].int().tolist() == [[1, 1], [0, 0]]
    assert left[1].int().tolist() == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert left[2].int().tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    # inputs 2 of 2, 1 of 2, 1 of 2; outputs of the last one 1 of 2
    assert anp(left, {1: 3, 2: 3}) == 5 / 8


def test_a_channel_lives_while_any_of_its_columns_has_a_link() -> None:
    first, second = torch.ones(2, 3).bool(), torch.tensor([[0, 0, 0, 0, 0, 1, 0, 0]]).bool()
    left, same = percolate([first, second], [[0, 1]], {1: 4})
    assert left.int().tolist() == [[0, 0, 0], [1, 1, 1]]
    assert torch.equal(same, second)
    with pytest.raises(UserError, match="outputs of 0 = 2, inputs of 1 = 8"):
        percolate([first, second], [[0, 1]])
    with pytest.raises(UserError, match="8 columns cannot be shared equally by neurons of 3 columns each"):
        percolate([first, second], [[0, 1]], {1: 3})


def by_brute_force(weights: list[Tensor], meetings: list[tuple[int, tuple[int, ...]]]) -> list[Tensor]:
    """Percolation of masks in their own shapes: [O, C, k, k] of convolutions, [O, C, H * W] of what reads flat channels."""
    weights = [weight.clone() for weight in weights]
    while True:
        before = [weight.clone() for weight in weights]
        for lower, uppers in meetings:
            for channel in range(weights[lower].shape[0]):
                fed = bool(weights[lower][channel].any())
                read = any(bool(weights[upper][:, channel].any()) for upper in uppers)
                if not (fed and read):
                    weights[lower][channel] = False
                    for upper in uppers:
                        weights[upper][:, channel] = False
        if all(torch.equal(one, other) for one, other in zip(before, weights, strict=True)):
            return weights


@given(density=st.sampled_from([0.02, 0.05, 0.1, 0.2, 0.5]), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_percolation_over_channels_equals_brute_force(density: float, seed: int) -> None:
    """A convolution read by two of other kernels, one of which is flattened into a linear map."""
    shapes = [(4, 2, 3, 3), (5, 4, 3, 3), (3, 4, 1, 1), (6, 5, 4), (2, 6, 1)]
    draw = torch.Generator().manual_seed(seed)
    weights = [torch.rand(shape, generator=draw) < density for shape in shapes]
    chains = [Junction((0,), (1, 2)), [1, 3, 4]]
    columns = {1: 9, 2: 1, 3: 4}
    found = percolate([weight.flatten(1) for weight in weights], chains, columns)
    expected = by_brute_force(weights, [(0, (1, 2)), (1, (3,)), (3, (4,))])
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other.flatten(1))
    sides = [weight.transpose(0, 1).flatten(1).any(1) for weight in expected] + [expected[-1].flatten(1).any(1)]
    active = sum(int(side.sum()) for side in sides) / sum(side.numel() for side in sides)
    assert anp(found, {0: 9, **columns}) == active


def test_the_engine_percolates_channels_and_counts_them() -> None:
    run = training(sparse_method("chts_n", topology="brf", sparsity=0.93), network="cnn", total=40, interval=4).run(39)
    layers = {layer.name: layer for layer in run.sparsity.layers}
    assert run.sparsity.chains == [["3", "6", "9"]]
    assert {name: layer.columns for name, layer in layers.items()} == {"3": 9, "6": 9, "9": 9}
    shapes = {"3": (12, 8, 9), "6": (10, 12, 9), "9": (16, 10, 9)}
    weights = [run.sparsity.masks[name].reshape(shape) for name, shape in shapes.items()]
    sides = [weight.any(0).any(1) for weight in weights] + [weights[-1].flatten(1).any(1)]
    assert run.sparsity.anp() == sum(int(side.sum()) for side in sides) / (8 + 12 + 10 + 16)
    record = run.sparsity.records[-1].layers["6"]
    assert record["active_inputs"] == weights[1].any(0).any(1).double().mean().item()
    assert record["active_outputs"] == weights[1].flatten(1).any(1).double().mean().item()


# ---------------------------------------------------------------------- which layers feed which


def chain(*between: nn.Module, last: nn.Module) -> list[list[str]]:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), *between, last)
    return plain_chains(model, ["0", str(len(model) - 1)])


def test_chains_of_convolutions_are_read_off_sequentials() -> None:
    conv = nn.Conv2d(8, 4, 3)
    kept = [nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(), nn.AdaptiveAvgPool2d(3), nn.GroupNorm(2, 8)]
    assert chain(*kept, last=conv) == [["0", "7"]]
    assert chain(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), last=nn.Linear(8, 2)) == [["0", "5"]]
    assert chain(nn.Flatten(), last=nn.Linear(8 * 49, 2)) == [["0", "2"]]
    assert chain(nn.Flatten(), last=nn.Linear(30, 2)) == []  # 30 inputs are no 8 equal parts
    assert chain(last=nn.Linear(8, 2)) == []  # it reads the width of the image
    assert chain(nn.Flatten(), last=conv) == []
    assert chain(nn.Flatten(2), last=nn.Linear(8, 2)) == []
    assert chain(nn.Flatten(), nn.MaxPool1d(2), last=nn.Linear(8, 2)) == []
    assert chain(nn.PixelShuffle(2), last=nn.Conv2d(2, 4, 3)) == []
    one = nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.MaxPool1d(2), nn.Conv1d(6, 4, 3))
    assert plain_chains(one, ["0", "3"]) == [["0", "3"]]


def test_columns_of_a_neuron_are_a_kernel_or_the_pixels_of_a_flattened_channel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, (1, 5)), nn.Conv2d(8, 4, 2), nn.Flatten(), nn.Linear(36, 6), nn.Linear(6, 2))
    layers = sparse_layers(model, ["0", "1", "3", "4"])
    assert columns_of_neurons(layers, [["0", "1", "3", "4"]]) == {"0": 5, "1": 4, "3": 9, "4": 1}
    assert columns_of_neurons(layers, [Junction(("1",), ("3",))])["3"] == 9
    assert columns_of_neurons(layers, ())["3"] == 1
    two = {"a": nn.Conv2d(3, 6, 3), "b": nn.Conv2d(3, 4, 3), "c": nn.Linear(36, 2)}
    with pytest.raises(UserError, match="'c' is fed by convolutions of different numbers of channels"):
        columns_of_neurons(two, [["a", "c"], ["b", "c"]])


def test_a_chain_that_does_not_fit_is_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(30, 2), nn.Linear(2, 2))
    with pytest.raises(UserError, match="outputs of 1 = 4, inputs of 3 = 30"):
        sparsify(model, "chts_n", layers=["1", "3"], chains=[["1", "3"]])


# ---------------------------------------------------------------------- which layers, and what is refused


def test_by_default_head_first_convolution_and_groups_stay_dense() -> None:
    assert list(sparse_layers(convolutional(), None)) == ["3", "6", "9"]
    mobile = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 2, 1))
    assert list(sparse_layers(mobile, None)) == ["2"]
    with pytest.raises(UserError, match="nothing is left to be sparse"):
        sparse_layers(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 2)), None)


class Linear(nn.Module):
    """As quantised layers are called, too."""


def quantised() -> nn.Linear:
    linear = nn.Linear(3, 4)
    linear.weight = nn.Parameter(torch.zeros(4, 3, dtype=torch.int8), requires_grad=False)
    return linear


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.LazyLinear(4), "layer '0' is a LazyLinear, whose weight is not there yet: run one batch"),
        (nn.LazyConv2d(4, 3), "layer '0' is a LazyConv2d, whose weight is not there yet"),
        (nn.Conv3d(3, 4, 3), "layer '0' is a Conv3d; nn.Linear, nn.Conv1d, nn.Conv2d and transformers' Conv1D can"),
        (nn.ConvTranspose2d(3, 4, 3), "layer '0' is a ConvTranspose2d; nn.Linear"),
        (nn.Embedding(3, 4), "layer '0' is a Embedding; nn.Linear"),
        (nn.GRU(3, 4), "layer '0' is a GRU; nn.Linear"),
        (nn.Conv2d(4, 4, 3, groups=2), r"layer '0' is a Conv2d in 2 groups, each of which sees other inputs"),
        (torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), "weight of layer '0' is computed from other"),
        (nn.Conv2d(3, 4, 3, dtype=torch.complex64), "layer '0' is a Conv2d of torch.complex64 numbers"),
        (Linear(), r"layer '0' is a [\w.]*test_convolutions\.Linear; nn\.Linear"),
        (quantised(), r"layer '0' is a Linear of torch\.int8 numbers, which no optimizer trains"),
    ],
)
def test_what_cannot_be_sparse_is_said_by_what_it_is(module: nn.Module, said: str) -> None:
    with pytest.raises(UserError, match=said):
        sparse_layers(nn.Sequential(module, nn.Linear(4, 4)), ["0"])


def test_csr_and_csti_refuse_convolutions() -> None:
    with pytest.raises(
        UserError, match=r"csr execution is of nn\.Linear alone, and layer '3' is a Conv2d; use execution=d"
    ):
        training(sparse_method("set"), network="cnn", execution="csr")
    run = training(sparse_method("set"), network="cnn", execution="auto").run(5)
    assert run.sparsity.executed == {"3": "dense", "6": "dense", "9": "csr"}
    with pytest.raises(UserError, match=r"the columns of layer '3', a Conv2d, are no features .* e\.g\. brf"):
        training(sparse_method("chts_n"), network="cnn", features=normal(9, 24))


# ---------------------------------------------------------------------- weights in their own shapes


@pytest.mark.parametrize("name", [name for name in method_names() if "/" not in name])
def test_a_network_of_1x1_convolutions_is_the_same_as_one_of_linear_maps(name: str) -> None:
    method = method_for("cnn", name)
    linear = perceptron(24, 32, 32, 32, 4)
    modules = [copy.deepcopy(module) for module in linear]
    for place in (0, 2, 4, 6):
        modules[place] = nn.Conv2d(linear[place].in_features, linear[place].out_features, 1)
        with torch.no_grad():
            modules[place].weight.copy_(linear[place].weight[:, :, None, None])
            modules[place].bias.copy_(linear[place].bias)
    convolutional = nn.Sequential(*modules)
    both = [sparsify(model, method, layers=["0", "2", "4"]) for model in (linear, convolutional)]
    for step in range(12):
        inputs, labels = normal(16, 24, seed=step), torch.arange(16).roll(step) % 4
        for sparsity, seen in zip(both, (inputs, inputs[:, :, None, None]), strict=True):
            sparsity.optimizer.zero_grad()
            nn.functional.cross_entropy(sparsity.model(seen).flatten(1), labels).backward()
            sparsity.step()
        assert [record.anp for record in both[0].records] == [record.anp for record in both[1].records]
        for one, other in zip(*(sparsity.layers for sparsity in both), strict=True):
            assert torch.equal(one.mask_OI, other.mask_OI)
            torch.testing.assert_close(one.weight, other.weight.flatten(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", ["plain", "channels last"])
def test_memory_format_and_averages_and_portable_weights(network: str) -> None:
    run = training(sparse_method("rigl"), "adamw", network="cnn", total=24, interval=4)
    if network == "channels last":
        run = training(sparse_method("rigl"), "adamw", network="cnn", total=24, interval=4)
        run.model.to(memory_format=torch.channels_last)
    average = AveragedModel(run.model)
    for _ in range(20):
        run.step()
        average.update_parameters(run.model)
    for layer in run.sparsity.layers:
        absent = ~layer.mask_OI
        mean = dict(average.module.named_modules())[layer.name].weight
        for tensor in (layer.weight, mean, layer.weight.grad, *run.moments(layer.weight).values()):
            assert tensor.shape == layer.weight.shape
            assert not tensor.detach().reshape(absent.shape)[absent].any()
        assert mean.any()
    state = dense_weights(portable_weights(run.sparsity))
    assert all(torch.equal(state[name], value) for name, value in run.model.state_dict().items())


def test_kaiming_counts_the_kernel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(64, 128, 3), nn.Linear(3, 3))
    sparsity = sparsify(model, sparse_method("set", sparsity=0.5), layers=["1"])
    held = sparsity.layers[0].weight.detach().flatten(1)[sparsity.layers[0].mask_OI]
    assert held.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_erk_counts_the_kernel() -> None:
    # (8 + 16 + 3 + 3) and (32 + 16 + 3 + 3) wanted links, up to one factor
    one, other = layer_densities([(8, 16, 3, 3), (32, 16, 3, 3)], 0.1, "erk")
    assert one / other == pytest.approx((30 / 1152) / (54 / 4608))
    assert one * 1152 + other * 4608 == pytest.approx(0.1 * 5760)


# ---------------------------------------------------------------------- transformers' Conv1D


def gpt2() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"vocab_size": 40, "n_positions": 12, "n_embd": 24, "n_layer": 2, "n_head": 2}
        dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **dropout))


FEED_FORWARD = [[f"transformer.h.{block}.mlp.c_fc", f"transformer.h.{block}.mlp.c_proj"] for block in range(2)]


@pytest.mark.parametrize("name", ["rigl", "chts_n", "gmp", "cht"])
def test_gpt2_is_trained_sparse_and_resumed_to_the_bit(name: str) -> None:
    def step(sparsity: DynamicSparsity) -> float:
        tokens = torch.arange(36).reshape(3, 12).roll(sparsity.steps) % 40
        sparsity.optimizer.zero_grad()
        loss = sparsity.model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        sparsity.step()
        return loss.item()

    def start() -> DynamicSparsity:
        return sparsify(gpt2(), name, "adam", chains=FEED_FORWARD, total_steps=24, update_interval=4)

    whole = start()
    kinds = {type(layer.linear).__name__ for layer in whole.layers}
    assert (kinds, len(whole.layers)) == ({"Conv1D"}, 8)
    shapes = {layer.name.partition("h.0.")[2]: layer.shape for layer in whole.layers[:4]}
    assert shapes == {
        "attn.c_attn": (72, 24),
        "attn.c_proj": (24, 24),
        "mlp.c_fc": (96, 24),
        "mlp.c_proj": (24, 96),
    }
    first = step(whole)
    for _ in range(9):
        step(whole)
    file = io.BytesIO()
    torch.save(training_state(whole), file)
    file.seek(0)
    resumed = start()
    load_training_state(resumed, torch.load(file, weights_only=True))
    for _ in range(14):
        last = step(whole), step(resumed)
    assert last[0] == last[1] < first
    for one, other in zip(whole.layers, resumed.layers, strict=True):
        assert torch.equal(one.mask_OI, other.mask_OI)
        assert torch.equal(one.weight, other.weight)
        assert one.weight.shape == one.shape[::-1]
        assert not one.weight.detach()[~one.mask_OI.t()].any()
        assert one.count == round(whole.method.schedule(24, 4).final * one.mask_OI.numel())
    state = dense_weights(portable_weights(whole))
    assert all(torch.equal(state[name], value) for name, value in whole.model.state_dict().items())
    with pytest.raises(UserError, match=r"layer 'transformer\.h\.0\.attn\.c_attn' is a Conv1D"):
        sparsify(gpt2(), "set", execution="csr")
