"""Counted weights are those of the network that is built, for every network there is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chtexp.config.compose import compose_run
from chtexp.config.models import Counts, LlamaConfig, MLPConfig, TransformerConfig
from chtexp.config.resources import conf_dir
from chtexp.cost.count import counts_of
from chtexp.models.llama import Llama
from chtexp.models.transformer import Transformer
from chtexp.tasks.image_classification import build_classifier

MODELS = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml") if path.stem != "mlp")
IMAGES = ("digits", "mnist", "emnist", "cifar10", "cifar100")


def counted(model: nn.Module, sparse: list[str]) -> Counts:
    """By looking at the network itself."""
    sizes = {name: module.weight.numel() for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    of_sparse = sum(sizes[name] for name in sparse)
    return Counts(sum(p.numel() for p in model.parameters()), of_sparse, sum(sizes.values()) - of_sparse)


@pytest.mark.parametrize("data", IMAGES)
def test_of_an_mlp(data: str) -> None:
    run = compose_run([f"data={data}"])
    assert isinstance(run.model, MLPConfig)
    with torch.device("meta"):
        built = build_classifier(run.model, run.data, 0)
    assert counts_of(run) == counted(built.model, built.sparse_layers)


@pytest.mark.parametrize(
    "changes", [[], ["model.embeddings=shared", "data.units=subwords"], ["model.decoder_layers=2"]]
)
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("transformer")])
def test_of_a_transformer(name: str, changes: list[str]) -> None:
    config = compose_run(["data=multi30k", f"model={name}", *changes]).model
    assert isinstance(config, TransformerConfig)
    source, target = (300, 300) if config.embeddings == "shared" else (300, 200)
    with torch.device("meta"):
        model = Transformer(config, (source, target), pad_id=0, eos_id=1, start_id=2)
    assert config.counts(source, target) == counted(model, model.sparse_layers())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("llama")])
def test_of_a_llama(name: str, tied: bool) -> None:
    config = compose_run(["data=openwebtext", f"model={name}", f"model.tied={tied}"]).model
    assert isinstance(config, LlamaConfig)
    with torch.device("meta"):
        model = Llama(config, 300, positions=16)
    assert config.counts(300) == counted(model, model.sparse_layers())
