"""The engine at work: any model, what it refuses, and its public face."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from chtexp.distributed.group import ALONE
from chtexp.errors import UserError
from chtexp.sparse import DensitySchedule, DynamicSparsity, density_schedule
from chtexp.topology import Junction

from .small_networks import normal, perceptron, sparse_method, training

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
