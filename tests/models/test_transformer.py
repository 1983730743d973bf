"""The translation Transformer: what it computes, what it is made of, and which layers feed which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from chtexp.config.models import TransformerConfig
from chtexp.config.typed import describe
from chtexp.errors import UserError
from chtexp.models.transformer import (
    build_transformer,
    chains,
    initialise,
    meetings,
    sinusoids,
    sparse_layers,
    target_logits,
)

from . import reference
from .small_transformers import EOS, PAD, START, config, sentences, transformer


@pytest.mark.parametrize(("embeddings", "source"), [("shared", 11), ("separate", 11), ("separate", 17)])
def test_it_computes_a_pre_norm_transformer_whatever_the_padding(embeddings: str, source: int) -> None:
    model = transformer(source=source, embeddings=embeddings).eval()
    lengths, target_lengths = (7, 3, 1, 5), (4, 6, 5, 1)
    source_BS, target_BT = sentences(*lengths, vocabulary=source), sentences(*target_lengths, seed=1)
    logits_BTV = target_logits(model, source_BS, target_BT)
    assert logits_BTV.shape == (4, 6, 11)
    for row, (before, target) in enumerate(zip(lengths, target_lengths, strict=True)):
        inputs_T = torch.cat([torch.tensor([START]), target_BT[row, : target - 1]])
        wanted_TV = reference.logits(model.state_dict(), (2, 3), 4, source_BS[row, :before], inputs_T)
        torch.testing.assert_close(logits_BTV[row, :target], wanted_TV, atol=2e-5, rtol=2e-5)


def test_a_target_token_depends_on_those_before_it_alone() -> None:
    model = transformer().eval()
    source_BS, target_BT = sentences(5), sentences(8, seed=1)
    for place in range(8):
        other_BT = target_BT.clone()
        other_BT[0, place] = 3 + (target_BT[0, place] - 2) % 8
        change_T = (
            (target_logits(model, source_BS, other_BT) - target_logits(model, source_BS, target_BT)).abs().amax((0, 2))
        )
        assert bool((change_T[: place + 1] == 0).all())
        assert bool((change_T[place + 1 :] > 1e-6).all())


@pytest.mark.parametrize("embeddings", ["separate", "shared"])
def test_it_has_the_parameters_that_the_formula_says(embeddings: str) -> None:
    config = TransformerConfig(feed_forward=1024, embeddings=embeddings)
    source, target = (15_460, 24_893) if embeddings == "separate" else (10_000, 10_000)
    with torch.device("meta"):
        model = build_transformer(config, (source, target), PAD, EOS, START)
    width, wide = 512, 1024
    attention, norm = 4 * (width * width + width), 2 * width
    feed = width * wide + wide + wide * width + width
    encoder, decoder = attention + feed + 2 * norm, 2 * attention + feed + 3 * norm
    around = {"separate": (source + 2 * target) * width + target, "shared": 10_000 * width}[embeddings]
    assert sum(p.numel() for p in model.parameters()) == around + 6 * (encoder + decoder) + 2 * norm
    assert model.device.type == "meta"
    assert len(sparse_layers(model)) == 96
    sparse = sum(model.get_submodule(name).weight.numel() for name in sparse_layers(model))
    assert sparse == 6 * (3 * 4 * width * width + 4 * width * wide)


@pytest.mark.parametrize("embeddings", ["separate", "shared"])
def test_the_sparse_layers_are_all_linear_maps_but_the_generator_in_the_order_of_a_forward_pass(
    embeddings: str,
) -> None:
    model = transformer(embeddings=embeddings)
    seen: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    target_logits(model, sentences(4), sentences(3))
    assert sparse_layers(model) == seen[:-1]
    assert seen[-1] == "lm_head"
    assert len(seen) == 6 * 2 + 10 * 3 + 1


def _set(model: nn.Module, name: str, place: int, value: Tensor | float, side: str) -> None:
    """Set the row (outputs, with the bias) or the column (inputs) of a linear map at a neuron."""
    linear = model.get_submodule(name)
    with torch.no_grad():
        if side == "outputs":
            linear.weight[place], linear.bias[place] = value, 0.0
        else:
            linear.weight[:, place] = value


@pytest.mark.parametrize(("pairs", "side"), [(chains, "inputs"), (meetings, "outputs")])
def test_a_neuron_that_is_silent_in_one_layer_is_not_heard_in_its_partner(pairs, side) -> None:
    model = transformer().eval()
    source_BS, target_BT = sentences(5), sentences(6)
    partners = pairs(model)
    assert len(partners) == {"inputs": (1 + 1) * 2 + (2 + 1) * 3, "outputs": 2 + 2 * 3}[side]
    for index, (first, second) in enumerate(partners):
        place = (5 * index + 2) % 16
        with torch.no_grad():
            model.get_submodule(first).bias[place] = 5.0  # no ReLU silences it
        heard = target_logits(model, source_BS, target_BT)
        kept = [model.get_submodule(second).weight.clone(), model.get_submodule(second).bias.clone()]
        _set(model, second, place, torch.full((16,), 7.0), side)
        assert not torch.allclose(target_logits(model, source_BS, target_BT), heard)
        with torch.no_grad():
            model.get_submodule(second).weight.copy_(kept[0])
            model.get_submodule(second).bias.copy_(kept[1])
        _set(model, first, place, 0.0, "outputs")
        silent = target_logits(model, source_BS, target_BT)
        _set(model, second, place, torch.full((16,), 7.0), side)
        torch.testing.assert_close(target_logits(model, source_BS, target_BT), silent, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("kind", ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"])
@pytest.mark.parametrize("side", ["rows", "columns", "all"])
def test_dead_neurons_and_heads_leave_losses_and_gradients_finite(kind: str, side: str) -> None:
    model = transformer()
    with torch.no_grad():
        for name in sparse_layers(model):
            if name.endswith(kind):
                weight = model.get_submodule(name).weight
                {"rows": weight[:4], "columns": weight[:, :4], "all": weight}[side].zero_()
    target_BT = sentences(6, 2, seed=1)
    logits_BTV = target_logits(model, sentences(5, 3), target_BT)
    loss = cross_entropy(logits_BTV.flatten(0, 1), target_BT.flatten(), ignore_index=PAD)
    loss.backward()
    assert bool(loss.isfinite())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_first_weights_are_glorots_and_a_function_of_the_seed_alone() -> None:
    small = config(width=64, feed_forward=256, heads=8, embeddings="separate")
    with torch.random.fork_rng(devices=[]):
        models = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            models.append(build_transformer(small, (2000, 3000), PAD, EOS, START))
    first, again, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], again[name]) for name in first)
    embeddings = [f"model.{side}.embed_tokens" for side in ("encoder", "decoder")]
    assert [len(first[f"{name}.weight"]) for name in embeddings] == [2000, 3000]
    for name in [*sparse_layers(models[0]), *embeddings, "lm_head"]:
        weight = first[f"{name}.weight"]
        bound = (6 / sum(weight.shape)) ** 0.5
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.05)
        if name in embeddings:
            assert not weight[PAD].any()
        else:
            assert not first[f"{name}.bias"].any()
        assert not torch.equal(weight, other[f"{name}.weight"])
    assert models[0].training


def test_a_shared_embedding_starts_with_variance_one_once_it_is_scaled() -> None:
    torch.manual_seed(0)
    shared = build_transformer(config(width=64, heads=8), (3000, 3000), PAD, EOS, START).lm_head.weight.detach()
    assert shared[1:].std() == pytest.approx(64**-0.5, rel=0.02)
    assert not shared[PAD].any()


def test_source_target_and_generator_share_one_embedding() -> None:
    model = transformer()
    names = [name for name in model.state_dict() if "embed_tokens" in name or "shared" in name or "lm_head" in name]
    assert len({id(model.get_submodule(name.rpartition(".")[0]).weight) for name in names}) == 1
    assert len(names) == 4


def test_separate_embeddings_have_a_gradient_each_and_nothing_is_left_over() -> None:
    model = transformer(11, source=13, embeddings="separate")
    weights = [model.model.encoder.embed_tokens.weight, model.model.decoder.embed_tokens.weight, model.lm_head.weight]
    assert [len(weight) for weight in weights] == [13, 11, 11]
    assert len({weight.data_ptr() for weight in weights}) == 3
    named = {id(parameter) for parameter in model.parameters()}
    assert {id(weight) for weight in weights} <= named
    target_logits(model, sentences(5, vocabulary=13), sentences(4)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_two_vocabularies_cannot_share_an_embedding() -> None:
    with pytest.raises(UserError, match=r"model\.embeddings=shared takes one vocabulary, not two of 13 and 11 entries"):
        transformer(11, source=13)


@pytest.mark.parametrize("embeddings", ["separate", "shared"])
def test_every_tensor_gets_a_first_value(embeddings: str) -> None:
    model = transformer(embeddings=embeddings)
    tensors = [*model.parameters(), *model.buffers()]
    with torch.no_grad():
        for tensor in tensors:
            tensor.fill_(torch.nan)
    initialise(model)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)


def test_positions_are_pegasus_own_and_nobody_trains_them() -> None:
    from transformers.models.pegasus.modeling_pegasus import PegasusSinusoidalPositionalEmbedding

    torch.testing.assert_close(sinusoids(40, 16), PegasusSinusoidalPositionalEmbedding(40, 16).create_weight())
    model = transformer()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert "model.encoder.embed_positions.weight" in dict(model.named_buffers())


def test_dropout_is_at_work_in_training_only() -> None:
    model, tokens = transformer(), sentences(6)
    assert not torch.equal(target_logits(model, tokens, tokens), target_logits(model, tokens, tokens))
    model.eval()
    assert torch.equal(target_logits(model, tokens, tokens), target_logits(model, tokens, tokens))
    still = transformer(dropout=0.0, attention_dropout=0.0)
    assert torch.equal(target_logits(still, tokens, tokens), target_logits(still, tokens, tokens))
    for changes in ({"dropout": 0.0}, {"attention_dropout": 0.0}):
        one = transformer(**changes)
        assert not torch.equal(target_logits(one, tokens, tokens), target_logits(one, tokens, tokens))


def test_it_can_be_saved_and_loaded_with_transformers(tmp_path: Path) -> None:
    from transformers import PegasusForConditionalGeneration

    model, tokens = transformer().eval(), sentences(6, 4)
    model.save_pretrained(tmp_path)
    loaded = PegasusForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(target_logits(loaded, tokens, tokens), target_logits(model, tokens, tokens))


def test_sentences_longer_than_the_positions_are_an_error() -> None:
    model, longest = transformer(max_positions=8), sentences(8)
    target_logits(model, longest, longest)
    for source, target in ((pad(longest, (1, 0), value=3), longest), (longest, pad(longest, (1, 0), value=3))):
        with pytest.raises(UserError, match=r"a sentence has 9 tokens, but model\.max_positions is 8"):
            target_logits(model, source, target)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, r"model\.width 16 must be even and a multiple of model\.heads 3"),
        ({"width": 5, "heads": 5}, r"model\.width 5 must be even"),
        ({"embeddings": "tied"}, r"model\.embeddings should be 'separate' or 'shared', not 'tied'"),
        ({"dropout": 1.0}, r"model\.dropout should be less than 1, not 1"),
        ({"layers": 6}, r"unknown key 'model\.layers'"),
        ({"name": "mlp"}, r"model\.name should be 'transformer', not 'mlp'"),
    ],
)
def test_wrong_descriptions_are_named(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe(TransformerConfig, config().model_dump() | changes, "model")


def test_transformers_is_imported_where_a_model_is_built_and_not_before(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import chtexp.models.beam_search, chtexp.models.transformer\n"
        "import chtexp.tasks.smoothed_loss, chtexp.tasks.translation_scores\n"
        "from chtexp.cli import main\n"
        "try: main(['status'])\n"
        "finally: assert not {'transformers', 'sacrebleu'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "AssertionError" not in done.stderr
    assert "SystemExit" not in done.stderr
    assert done.returncode == 2, done.stderr  # there are no runs here
