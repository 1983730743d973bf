"""The LLaMA for language modelling: its sizes, its first weights, what it computes, and which layers meet."""

from __future__ import annotations

import math

import pytest
import torch

from chtexp.config.models import LlamaConfig
from chtexp.config.resources import conf_dir, read_yaml
from chtexp.config.typed import describe
from chtexp.errors import UserError
from chtexp.models.llama import Llama, build_llama

SIZES = {"20m": 19.55e6, "35m": 35.2e6, "60m": 58.1e6, "130m": 134.1e6, "350m": 368.0e6, "1b": 1339.1e6}


def config(**changes: int | bool) -> LlamaConfig:
    values = {
        "width": 16,
        "feed_forward": 24,
        "layers": 2,
        "heads": 2,
        "steps": 10,
        "batch": 4,
        "warmup": 2,
        "peak": 1e-3,
        "peak_dense": 1e-3,
    }
    return describe(LlamaConfig, {**values, **changes})


def small(**changes: int | bool) -> Llama:
    torch.manual_seed(0)
    return Llama(config(**changes), 50, positions=12)


@pytest.mark.parametrize("size", SIZES)
def test_the_sizes_have_the_parameters_they_are_named_for(size: str) -> None:
    described = describe(LlamaConfig, read_yaml(conf_dir() / "model" / f"llama_{size}.yaml"), "model")
    with torch.device("meta"):
        network = build_llama(described, 32_000, 256)
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == described.counts(32_000).parameters
    assert found == pytest.approx(SIZES[size], rel=2e-3)


def test_what_it_is_made_of_counts_once_where_embeddings_are_tied() -> None:
    model = small(tied=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == config(tied=True).counts(50).parameters
    assert model.network.lm_head.weight is model.network.model.embed_tokens.weight


def test_the_first_weights_are_llamas_and_follow_the_generator() -> None:
    torch.manual_seed(3)
    one = Llama(config(width=128, feed_forward=256), 500, positions=12)
    torch.manual_seed(3)
    other = Llama(config(width=128, feed_forward=256), 500, positions=12)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name))
        if parameter.dim() == 1:
            assert bool((parameter == 1).all())
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05)
            assert abs(parameter.mean().item()) < 0.001


def test_it_is_the_network_that_hugging_face_would_build() -> None:
    from transformers import LlamaForCausalLM

    model = small().eval()
    reference = LlamaForCausalLM(model.network.config).eval()
    reference.load_state_dict(model.network.state_dict())
    tokens_BT = torch.randint(0, 50, (3, 12))
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens_BT), reference(tokens_BT).logits)


def test_a_token_depends_on_itself_and_those_before_it_alone() -> None:
    model = small().eval()
    tokens_BT = torch.randint(1, 50, (1, 12))
    with torch.inference_mode():
        logits = model(tokens_BT)
        for place in range(12):
            changed = tokens_BT.clone()
            changed[0, place] = (changed[0, place] + 1) % 50
            moved_T = (model(changed) - logits).abs().amax((0, 2))
            assert bool((moved_T[:place] == 0).all())
            assert moved_T[place] > 1e-6


def test_an_untrained_network_is_as_good_as_guessing() -> None:
    model = small()
    tokens_BT = torch.randint(0, 50, (8, 12))
    loss = torch.nn.functional.cross_entropy(model(tokens_BT).flatten(0, 1), torch.randint(0, 50, (96,)))
    assert loss.item() == pytest.approx(math.log(50), rel=0.02)


def test_layers_and_junctions_name_every_map_but_embedding_and_head() -> None:
    model = small()
    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert set(model.sparse_layers()) == linears - {"network.lm_head"}
    assert len(model.sparse_layers()) == 14
    rows = [name for rows, _ in model.junctions() for name in rows]
    columns = [name for _, columns in model.junctions() for name in columns]
    assert len(set(rows)) == len(rows) == 10
    assert [name.rpartition(".")[2] for name in columns] == ["o_proj", "down_proj"] * 2
    for rows_, columns_ in model.junctions():
        widths = {model.get_submodule(name).out_features for name in rows_}
        assert widths | {model.get_submodule(name).in_features for name in columns_} == widths


def test_heads_must_share_the_width() -> None:
    with pytest.raises(UserError, match=r"twice model\.heads 3"):
        config(heads=3)
