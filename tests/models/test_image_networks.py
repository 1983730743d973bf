"""ResNet and VGG: counted, wired and computed as their descriptions say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from chtexp.config.compose import compose_run
from chtexp.config.models import ResNetConfig, VGGConfig
from chtexp.cost.count import cost, counts_of
from chtexp.errors import UserError
from chtexp.models.image_networks import CLASSIFIERS
from chtexp.models.resnet import Block, ResNet
from chtexp.sparse import DynamicSparsity, load_method
from chtexp.sparse.wiring import plain_chains
from chtexp.tasks.image_classification import build_classifier

CASES = [
    ("resnet20", "cifar10", []),
    ("resnet20", "digits", ["model.width=4", "model.blocks=[1,2,1,1]"]),
    ("resnet20", "emnist", ["model.width=6", "model.blocks=[2]"]),
    ("vgg16", "cifar100", []),
    ("vgg16", "mnist", ["model.width=8"]),
    ("vgg16", "digits", ["model.width=4", "model.stages=[1,2,1]"]),
]


def measured(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], int]]:
    """The weight's shape of every convolution and linear map, and how often one image uses it, in the order of the network."""
    found: dict[str, tuple[tuple[int, ...], int]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):

            def seen(module: nn.Module, _: object, made: Tensor, name: str = name) -> None:
                found[name] = tuple(module.weight.shape), made[0].numel() // module.weight.shape[0]

            module.register_forward_hook(seen)
    model.eval()(torch.zeros(1, *shape, device="meta"))
    return found


@pytest.mark.parametrize(("model", "data", "changes"), CASES)
def test_what_is_counted_is_what_is_built(model: str, data: str, changes: list[str]) -> None:
    run = compose_run([f"data={data}", f"model={model}", "method=rigl", *changes])
    with torch.device("meta"):
        built = build_classifier(run.model, run.data, 0)
    counts = counts_of(run)
    assert counts.parameters == sum(parameter.numel() for parameter in built.model.parameters())
    assert {layer.name: (layer.shape, layer.uses) for layer in counts.layers} == measured(built.model, run.data.shape)
    assert built.sparse_layers == [layer.name for layer in counts.layers if layer.sparse]
    weights = {layer.name: layer.weights for layer in counts.layers}
    assert counts.sparse == sum(weights[name] for name in built.sparse_layers)
    assert counts.sparse + counts.dense == sum(weights.values())
    assert sorted(name for chain in built.chains for name in chain) == sorted(built.sparse_layers)


@pytest.mark.parametrize(
    ("model", "parameters", "products"), [("resnet20", 269_722, 40.55e6), ("vgg16", 14_724_042, 313.2e6)]
)
def test_sizes_that_are_well_known(model: str, parameters: int, products: float) -> None:
    run = compose_run(["data=cifar10", f"model={model}", "method=fc"])
    found = cost(run)
    assert (found.parameters, found.nonzeros, found.steps) == (parameters, parameters, 160 * 391)
    assert found.dense_flops == found.sparse_flops == pytest.approx(6 * 160 * 50_000 * products, rel=1e-3)


@pytest.mark.parametrize("distribution", ["uniform", "erk"])
def test_flops_follow_the_density_of_every_layer(distribution: str) -> None:
    changes = ["method.sparsity=0.9", f"method.distribution={distribution}", "model.width=8", "model.blocks=[1,1]"]
    run = compose_run(["data=digits", "model=resnet20", "method=granet", "budget=smoke", *changes])
    built = build_classifier(run.model, run.data, 0)
    optimizer = torch.optim.SGD(built.model.parameters(), lr=0.01)
    length = run.length
    sparsity = DynamicSparsity(
        built.model, optimizer, run.method, total_steps=length.total_steps, update_interval=length.update_interval,
        seed=0, layers=built.sparse_layers, chains=built.chains,
    )  # fmt: skip
    images = torch.rand(4, 1, 8, 8)
    for _ in range(length.total_steps):
        optimizer.zero_grad()
        built.model(images).square().mean().backward()
        optimizer.step()
    links, layers = sparsity.mean_links(), counts_of(run).layers
    assert sum(links.values()) == pytest.approx(sparsity.link_steps / sparsity.steps)
    products = sum(links.get(layer.name, layer.weights) * layer.uses for layer in layers)
    # pruning is global: layers keep other shares than they begin with
    found = cost(run).sparse_flops / (6 * length.positions(length.total_steps))
    assert found == pytest.approx(products, rel=0.15)
    if distribution == "erk":
        first, last = (layer for layer in layers if layer.name in ("blocks.0.conv1", "blocks.1.conv2"))
        dims = [sum(layer.shape) / layer.weights for layer in (first, last)]
        start = compose_run([*("data=digits", "model=resnet20", "method=set"), *changes])
        model = build_classifier(start.model, start.data, 0).model
        masks = DynamicSparsity(
            model, torch.optim.SGD(model.parameters(), lr=0.1), start.method, total_steps=9, update_interval=3, seed=0,
            layers=built.sparse_layers, chains=built.chains,
        ).masks  # fmt: skip
        ratio = masks[first.name].double().mean() / masks[last.name].double().mean()
        assert ratio.item() == pytest.approx(dims[0] / dims[1], rel=0.02)


def test_a_block_by_hand() -> None:
    torch.manual_seed(0)
    block = Block(2, 5).eval()
    images = torch.randn(1, 2, 5, 5)
    inner = conv2d(images, block.conv1.weight, stride=2, padding=1) / (1 + 1e-5) ** 0.5
    inner = conv2d(inner.clamp_min(0), block.conv2.weight, padding=1) / (1 + 1e-5) ** 0.5
    wanted = inner.clone()
    wanted[:, :2] += images[:, :, [0, 2, 4]][:, :, :, [0, 2, 4]]
    torch.testing.assert_close(block(images), wanted.clamp_min(0))
    assert sum(parameter.numel() for parameter in block.parameters()) == 2 * 5 * 9 + 5 * 5 * 9 + 4 * 5
    same = Block(3, 3).eval()
    nn.init.zeros_(same.norm2.weight)
    images = torch.rand(1, 3, 4, 4)
    assert torch.equal(same(images), images)


def test_a_channel_between_the_convolutions_of_a_block_is_a_neuron_and_the_stream_is_none() -> None:
    """What percolation takes away changes nothing but constants: the channel's bias."""
    torch.manual_seed(0)
    model = ResNet(ResNetConfig(width=4, blocks=(1, 1)), (3, 8, 8), 5).eval()
    assert model.chains() == [["blocks.0.conv1", "blocks.0.conv2"], ["blocks.1.conv1", "blocks.1.conv2"]]
    images = torch.randn(2, 3, 8, 8)
    block = model.blocks[0]
    with torch.no_grad():
        block.conv1.weight[1] = 0
        before = model(images)
        block.conv2.weight[:, 1] = 0
        assert torch.equal(model(images), before)  # norm1 has no bias: the channel is zero
        block.conv2.weight[2] = 0
        block.conv1.weight[:, 2] = 0
        changed = model(images)
        model.blocks[1].conv1.weight[:, 2] = 0
        assert not torch.equal(model(images), changed)  # channel 2 of the stream was alive


def test_the_chain_of_vgg_is_what_its_sequential_shows() -> None:
    model = CLASSIFIERS[VGGConfig](VGGConfig(width=4), (3, 32, 32), 10)
    assert model.chains() == plain_chains(model, model.sparse_layers())
    assert len(model.sparse_layers()) == 12
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_images_that_are_too_small_are_an_error() -> None:
    assert VGGConfig().counts((1, 16, 16), 10)
    with pytest.raises(
        UserError, match="model vgg halves images 4 times, which images of 15 x 40 pixels are too small"
    ):
        VGGConfig().counts((1, 15, 40), 10)
    assert ResNetConfig().counts((1, 1, 1), 2)


@pytest.mark.parametrize("model", ["resnet20", "vgg16"])
@pytest.mark.parametrize("name", ["cnn/cht", "cnn/chts_n"])
def test_percolating_methods_hold_at_the_sparsities_of_the_grid(model: str, name: str) -> None:
    """The grid's networks (VGG an eighth as wide) at 98%: no layer is emptied, and the density is exact."""
    run = compose_run(["data=cifar10", f"model={model}", *(["model.width=16"] if model == "vgg16" else [])])
    built = build_classifier(run.model, run.data, 0)
    sparsity = DynamicSparsity(
        built.model, torch.optim.SGD(built.model.parameters(), lr=1e-3), load_method(name, sparsity=0.98), total_steps=9,
        update_interval=2, seed=0, layers=built.sparse_layers, chains=built.chains,
    )  # fmt: skip
    images = torch.rand(2, 3, 32, 32)
    for _ in range(9):
        sparsity.optimizer.zero_grad()
        built.model(images).square().mean().backward()
        sparsity.step()
    assert len(sparsity.records) == 4
    pairs = {layer.name: layer.weights for layer in counts_of(run).layers if layer.sparse}
    assert {name: int(mask.sum()) for name, mask in sparsity.masks.items()} == {
        name: round(0.02 * count) for name, count in pairs.items()
    }
    assert 0.5 < sparsity.anp() <= 1
