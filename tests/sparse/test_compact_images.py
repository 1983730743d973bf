"""A convolutional network without its inactive channels computes what it computed with them, also at the border of an image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, reject
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from chtexp.errors import UserError
from chtexp.sparse import compact

SIZE = 11  # pixels of a side: odd, so that pools meet parts of windows


def channels(model: nn.Module) -> list[int]:
    return [one.out_channels for one in model.modules() if isinstance(one, nn.Conv2d)]


def widths(model: nn.Module) -> list[int]:
    return [one.out_features for one in model.modules() if isinstance(one, nn.Linear)]


def trained(model: nn.Module, density: float, seed: int, inactive: float = 0.3) -> nn.Module:
    """Give a model weights at some links, some neurons without any from below or to above, and statistics of batch norm."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                weight = module.weight
                weight.normal_(generator=draws).mul_(torch.rand(weight.shape, generator=draws) < density)
                weight[torch.rand(weight.shape[0], generator=draws) < inactive] = 0
                weight[:, torch.rand(weight.shape[1], generator=draws) < inactive] = 0
                if module.bias is not None:
                    module.bias.normal_(generator=draws)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for statistic in (module.running_mean, module.weight, module.bias):
                    if statistic is not None:
                        statistic.normal_(generator=draws)
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 2, generator=draws)
    return model.eval()


def images(channels: int = 2) -> Tensor:
    return torch.randn(6, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def same(small: nn.Module, model: nn.Module, inputs: Tensor) -> bool:
    with torch.no_grad():
        wanted = model(inputs)
        return torch.allclose(small(inputs), wanted, atol=1e-5 * max(1.0, float(wanted.abs().max())))


ACTIVATIONS: list[Callable[[], nn.Module]] = [nn.ReLU, nn.Sigmoid, nn.Identity, lambda: nn.ReLU(inplace=True), nn.GELU]
POOLS: list[Callable[[], nn.Module]] = [
    lambda: nn.MaxPool2d(2),
    lambda: nn.MaxPool2d(3, stride=2, padding=1),
    lambda: nn.MaxPool2d(2, ceil_mode=True),
    lambda: nn.AvgPool2d(2, ceil_mode=True),
    lambda: nn.AvgPool2d(3, stride=2, padding=1),
    lambda: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    lambda: nn.AvgPool2d(2, divisor_override=3),
    lambda: nn.AdaptiveMaxPool2d(3),
    lambda: nn.Dropout2d(0.5),
]


@st.composite
def networks(draw: st.DrawFn) -> nn.Sequential:
    """Convolutions with whatever may stand between them, then linear maps."""
    modules: list[nn.Module] = []
    inputs = 2
    for _ in range(draw(st.integers(1, 4))):
        outputs = draw(st.integers(1, 6))
        kernel = draw(st.sampled_from([1, 2, 3]))
        padding = draw(st.sampled_from([0, 1, (1, 0), "valid", "same" if kernel % 2 else 0]))
        stride = 1 if padding == "same" else draw(st.sampled_from([1, 1, 2]))
        mode = "zeros" if kernel == 1 else draw(st.sampled_from(["zeros", "zeros", "replicate", "circular"]))
        settings = {"stride": stride, "padding": padding, "padding_mode": mode, "bias": draw(st.booleans())}
        modules.append(nn.Conv2d(inputs, outputs, kernel, **settings))
        if draw(st.booleans()):
            modules.append(nn.BatchNorm2d(outputs, affine=draw(st.booleans())))
        modules.append(draw(st.sampled_from(ACTIVATIONS))())
        if draw(st.booleans()):
            modules.append(draw(st.sampled_from(POOLS))())
        inputs = outputs
    if draw(st.booleans()):
        modules.append(nn.AdaptiveAvgPool2d(1))
    try:
        size = nn.Sequential(*modules).eval()(images()[:1]).shape[-2:]
    except RuntimeError:  # the image has become too small
        reject()
    hidden = draw(st.integers(1, 7))
    modules += [nn.Flatten(), nn.Linear(inputs * size[0] * size[1], hidden)]
    if draw(st.booleans()):
        modules.append(nn.BatchNorm1d(hidden))
    modules += [draw(st.sampled_from(ACTIVATIONS))(), nn.Dropout(0.2), nn.Linear(hidden, 3, bias=draw(st.booleans()))]
    return nn.Sequential(*modules)


@hypothesis_settings(max_examples=150, deadline=None)
@given(model=networks(), density=st.sampled_from([0.1, 0.4, 1.0]), seed=st.integers(0, 10**6))
def test_outputs_are_equal_whatever_the_network(model: nn.Sequential, density: float, seed: int) -> None:
    trained(model, density, seed)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    small = compact(model)
    assert same(small, model, images())
    assert sum(one.numel() for one in small.parameters()) <= sum(one.numel() for one in model.parameters()) + 3 + sum(
        widths(small)
    ) + sum(channels(small)), "biases may be new, and nothing else"
    assert all(torch.equal(one, other) for one, other in zip(before, model.state_dict().values(), strict=True))
    assert [type(one) for one in small] == [type(one) for one in model], "the same modules, only smaller"


def by_hand(padding: int, bias: float) -> nn.Sequential:
    """Of three channels the first is not fed (its constant is the bias), the second is, the third is not read."""
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 1, 3, padding=padding, bias=False)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([0.0, 2.0, 5.0]).view(3, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([bias, 0.5, 1.0]))
        model[2].weight.fill_(1.0)
        model[2].weight[:, 2] = 0
    return model


def test_a_constant_channel_goes_into_the_bias_above_where_nothing_is_padded() -> None:
    model = by_hand(padding=0, bias=3.0)
    small = compact(model)
    assert channels(small) == [1, 1]
    assert small[2].bias.tolist() == [27.0]
    assert same(small, model, images(1))


@pytest.mark.parametrize(("bias", "kept"), [(3.0, 2), (0.0, 1), (-3.0, 1)])
def test_a_constant_channel_beside_padding_stays_unless_it_is_zero(bias: float, kept: int) -> None:
    """After ReLU a negative constant is zero, as the padding is."""
    model = by_hand(padding=1, bias=bias)
    small = compact(model)
    assert channels(small) == [kept, 1]
    assert same(small, model, images(1))


@pytest.mark.parametrize(
    ("pool", "kept"),
    [
        (nn.MaxPool2d(3, stride=2, padding=1), 1),
        (nn.AvgPool2d(2, ceil_mode=True), 1),
        (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), 1),
        (nn.AvgPool2d(3, stride=2, padding=1), 2),
        (nn.AvgPool2d(2, divisor_override=3), 2),
    ],
)
def test_a_pool_keeps_a_constant_unless_it_averages_padding(pool: nn.Module, kept: int) -> None:
    first, activation, last = by_hand(padding=0, bias=3.0)
    model = nn.Sequential(first, activation, pool, last).eval()
    small = compact(model)
    assert channels(small) == [kept, 1]
    assert same(small, model, images(1))


def test_a_flattened_channel_is_a_block_of_columns() -> None:
    model = trained(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(36, 5)), 1.0, 0, inactive=0
    )
    with torch.no_grad():
        model[0].weight[1] = 0
        model[3].weight[:, 18:27] = 0  # the third channel is not read
    small = compact(model)
    assert (channels(small), small[3].in_features) == ([2], 18)
    assert same(small, model, images())


class Block(nn.Module):
    """A residual block as ResNets for CIFAR have it, with functions for activations."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        narrow = inputs == outputs
        self.shortcut = (
            nn.Sequential() if narrow else nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        )

    def forward(self, images: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images)), inplace=True)))
        inner += self.shortcut(images)
        return functional.relu(inner)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.blocks, self.last = (
            nn.Conv2d(2, 6, 3),
            nn.Sequential(Block(6, 6), Block(6, 8)),
            nn.Linear(8, 3),
        )

    def forward(self, images: Tensor) -> Tensor:
        deep = functional.max_pool2d(self.blocks(torch.relu(self.first(images))), 2)
        return self.last(torch.flatten(functional.adaptive_avg_pool2d(deep, 1), 1))


@pytest.mark.parametrize("seed", range(5))
def test_of_a_residual_block_the_inner_channels_are_cut(seed: int) -> None:
    model = trained(Residual(), 0.2, seed, inactive=0.2)
    with torch.no_grad():
        for block in model.blocks:
            block.bn1.bias.abs_().neg_()  # so that what is not fed is zero: the block pads
            block.bn1.running_mean.zero_()
            block.conv1.weight[:2] = 0
    small = compact(model)
    inner = [block.conv1.out_channels for block in small.blocks]
    assert inner[0] <= 4
    assert inner[1] <= 6
    assert [block.conv2.out_channels for block in small.blocks] == [6, 8], "what blocks add to stays whole"
    assert small.first.out_channels == 6
    assert same(small, model, images())


class Twice(nn.Module):
    """What is read by two, and a weight that is read by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.one, self.other = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.tied, self.above = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.below(inputs)
        deep = self.one(hidden) * torch.tanh(self.other(hidden))
        return self.above(torch.relu(self.tied(deep))) + self.tied.weight.sum()


def test_what_others_read_as_well_stays_whole() -> None:
    with pytest.raises(UserError, match="Twice shows no linear maps or convolutions that feed each other"):
        compact(trained(Twice(), 0.3, 0))
    grouped = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1))
    with pytest.raises(UserError, match="nothing can be cut out"):
        compact(trained(grouped, 0.5, 0))
    unfixed = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(UserError, match="nothing can be cut out"):
        compact(unfixed)


class Branching(nn.Module):
    """A forward pass that depends on values, so that only its Sequential shows what feeds what."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 2), Sign())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs if inputs.sum() > 0 else -inputs)


class Sign(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.sum() > 0 else -inputs


def test_where_the_forward_pass_cannot_be_traced_its_sequentials_are_looked_at() -> None:
    model = trained(Branching(), 0.3, 0)
    small = compact(model)
    assert widths(small)[0] < 9
    inputs = torch.randn(8, 6)
    assert same(small, model, inputs)
    assert same(small, model, -inputs)


def masked_perceptron() -> nn.Sequential:
    return trained(nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)), 0.3, 0)


@pytest.mark.parametrize("kind", ["hook", "pre-hook", "prune", "parametrization"])
def test_what_modules_compute_must_be_seen(kind: str) -> None:
    model = masked_perceptron()
    if kind == "hook":
        model[0].register_forward_hook(lambda module, inputs, output: output + 1)
    elif kind == "pre-hook":
        model[0].register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    elif kind == "prune":
        prune.random_unstructured(model[0], "weight", 0.5)
    else:
        parametrizations.weight_norm(model[0])
    said = "is computed" if kind == "parametrization" else "has hooks"
    with pytest.raises(UserError, match=f"module '0' {said}|the weight of module '0' {said}"):
        compact(model)


class ByKeyword(nn.Module):
    """The first layer is applied twice, once by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.a, self.b = nn.Linear(5, 9), nn.Linear(9, 4), nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(torch.relu(self.c(x))) + self.b(torch.sigmoid(self.c(input=x)))


def test_a_layer_that_is_also_applied_by_keyword_stays() -> None:
    model = trained(ByKeyword(), 0.3, 0)
    with pytest.raises(UserError, match="nothing can be cut out"):
        compact(model)


@pytest.mark.parametrize(
    "between",
    [
        [nn.PReLU(9)],
        [nn.MaxPool2d(2, return_indices=False, padding=1, dilation=2)],
        [nn.Flatten(2), nn.Unflatten(2, (6, 6))],
    ],
)
def test_modules_that_do_not_treat_every_channel_alike_stop_a_cut(between: list[nn.Module]) -> None:
    model = trained(nn.Sequential(nn.Conv2d(2, 9, 1), *between, nn.Conv2d(9, 3, 1)), 0.3, 0)
    with pytest.raises(UserError, match="nothing can be cut out"):
        compact(model)


def test_frozen_weights_stay_frozen() -> None:
    model = masked_perceptron().requires_grad_(False)
    small = compact(model)
    assert widths(small)[0] < 9
    assert not any(parameter.requires_grad for parameter in small.parameters())
