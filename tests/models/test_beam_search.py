"""Beam search: equal to searches written in full, the same in any batch, within its limits, and leaving no trace."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.models.beam_search import translate
from chtexp.models.transformer import target_logits

from .small_transformers import EOS, PAD, START, sentences, transformer

MIXED = (6, 3, 9, 1, 4, 9, 2, 5)


@torch.no_grad()
def log_probabilities(model: Any, source_S: Tensor, tokens: tuple[int, ...]) -> Tensor:
    """Of every next token, computed from the whole of the translation so far, without a cache."""
    source_S = source_S[source_S != PAD]
    after = torch.tensor([[*tokens, EOS]])
    log_p_V = target_logits(model, source_S[None], after)[0, -1].log_softmax(-1)
    log_p_V[[PAD, START]] = -torch.inf
    return log_p_V


def exhaustive(model: Any, source_S: Tensor, longest: int, length_penalty: float) -> list[int]:
    """The best of all translations of at most `longest` tokens with eos."""
    words = range(3, model.config.vocab_size)
    best, found = -math.inf, ()
    for length in range(longest):
        for tokens in itertools.product(words, repeat=length):
            total = sum(
                log_probabilities(model, source_S, tokens[:at])[token] for at, token in enumerate((*tokens, EOS))
            )
            score = float(total) / (length + 1) ** length_penalty
            if score > best:
                best, found = score, tokens
    return list(found)


def beam_search(model: Any, source_S: Tensor, longest: int, beam: int, length_penalty: float) -> list[int]:
    """Beam search as the docstring of `translate` says it."""
    open_, ended = [(0.0, ())], []
    for length in range(1, longest + 1):
        candidates = [
            (total + float(log_p), (*tokens, token))
            for total, tokens in open_
            for token, log_p in enumerate(log_probabilities(model, source_S, tokens))
            if log_p > -math.inf and (token == EOS or length < longest)
        ]
        candidates.sort(reverse=True)
        ended += [(total / length**length_penalty, tokens) for total, tokens in candidates[:beam] if tokens[-1] == EOS]
        ended = sorted(ended, reverse=True)[:beam]
        open_ = [(total, tokens) for total, tokens in candidates[: 2 * beam] if tokens[-1] != EOS][:beam]
        if len(ended) == beam and (not open_ or open_[0][0] / length**length_penalty <= ended[-1][0]):
            break
    return list(ended[0][1][:-1])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_finds_the_best_of_all_translations(seed: int, length_penalty: float) -> None:
    model = transformer(6, seed=seed, spread=1.5).eval()
    sources = sentences(2, 1, vocabulary=6, seed=seed)
    found = translate(model, sources, beam=50, length_penalty=length_penalty, extra_tokens=2)
    for source_S, length, tokens in zip(sources, (2, 1), found, strict=True):
        assert tokens == exhaustive(model, source_S, length + 2, length_penalty)


@pytest.mark.parametrize("length_penalty", [-0.5, 0.0, 0.6, 1.0])
@pytest.mark.parametrize("beam", [1, 2, 4])
def test_it_is_beam_search(beam: int, length_penalty: float) -> None:
    different = set()
    for seed in range(2):
        model = transformer(9, seed=seed, spread=1.3).eval()
        sources = sentences(*MIXED, vocabulary=9, seed=seed)
        found = translate(model, sources, beam=beam, length_penalty=length_penalty, extra_tokens=4)
        for source_S, length, tokens in zip(sources, MIXED, found, strict=True):
            assert tokens == beam_search(model, source_S, length + 4, beam, length_penalty)
        different |= {len(tokens) for tokens in found}
    assert len(different) > 1


def test_it_searches_the_words_of_a_target_that_are_others_than_the_sources() -> None:
    model = transformer(9, source=30, spread=2.0, embeddings="separate").eval()
    sources = sentences(*MIXED, vocabulary=30)
    found = translate(model, sources, beam=2, length_penalty=1.0, extra_tokens=4)
    assert max(token for tokens in found for token in tokens) < 9
    for source_S, length, tokens in zip(sources, MIXED, found, strict=True):
        assert tokens == beam_search(model, source_S, length + 4, 2, 1.0)


@pytest.mark.parametrize("most_tokens", [1, 20, 60, 10_000])
def test_a_translation_does_not_depend_on_its_batch(most_tokens: int) -> None:
    model = transformer(30, spread=1.3).eval()
    sources = sentences(*MIXED, vocabulary=30)
    alone = [translate(model, row[None], beam=2, length_penalty=1.0)[0] for row in sources]
    assert translate(model, sources, beam=2, length_penalty=1.0, most_tokens=most_tokens) == alone
    backwards = translate(model, sources.flip(0), beam=2, length_penalty=1.0, most_tokens=most_tokens)
    assert backwards == alone[::-1]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_translation_ends_at_its_own_limit_and_holds_words_only(beam: int) -> None:
    model = transformer(30).eval()
    with torch.no_grad():
        model.final_logits_bias[0, EOS] = -50.0  # it never wants to end ...
        model.final_logits_bias[0, [PAD, START]] = 50.0  # ... and would rather say what is no word
    found = translate(model, sentences(*MIXED, vocabulary=30), beam=beam, length_penalty=1.0, extra_tokens=7)
    assert [len(tokens) for tokens in found] == [length + 7 - 1 for length in MIXED]
    assert all(token > START for tokens in found for token in tokens)


def test_the_positions_of_the_network_are_a_limit_too() -> None:
    model = transformer(30, max_positions=9).eval()
    with torch.no_grad():
        model.final_logits_bias[0, EOS] = -50.0
    found = translate(model, sentences(*MIXED, vocabulary=30), beam=2, length_penalty=1.0)
    assert [len(tokens) for tokens in found] == [8] * len(MIXED)
    with pytest.raises(UserError, match=r"a source has 10 tokens, but model\.max_positions is 9"):
        translate(model, sentences(3, 10), beam=2, length_penalty=1.0)


@pytest.mark.parametrize("training", [True, False])
def test_it_leaves_no_trace_and_says_nothing(training: bool, capfd: pytest.CaptureFixture, caplog: Any) -> None:
    model = transformer().train(training)
    sources = sentences(*MIXED)
    settings = model.generation_config.to_dict()
    state = torch.get_rng_state()
    first, second = (translate(model, sources, beam=2, length_penalty=1.0) for _ in range(2))
    assert first == second
    assert all(module.training == training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.generation_config.to_dict() == settings
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_the_mode_is_restored_when_the_search_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = transformer()

    def fail(*_: Any, **__: Any) -> None:
        assert not model.training
        raise RuntimeError("no")

    monkeypatch.setattr(model, "generate", fail)
    with pytest.raises(RuntimeError, match="no"):
        translate(model, sentences(3), beam=2, length_penalty=1.0)
    assert model.training


def test_it_works_in_autocast() -> None:
    model = transformer(30, spread=2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = translate(model, sentences(*MIXED, vocabulary=30), beam=2, length_penalty=1.0)
    assert len(found) == len(MIXED)
    assert all(START < token < 30 for tokens in found for token in tokens)


def test_no_sentence_has_no_translation() -> None:
    assert translate(transformer(), torch.zeros(0, 4, dtype=torch.long), beam=2, length_penalty=1.0) == []


@pytest.mark.parametrize("name", ["beam", "most_tokens"])
def test_numbers_below_one_are_an_error(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be at least 1, not 0"):
        translate(transformer(), sentences(3), **({"beam": 2, "length_penalty": 1.0} | {name: 0}))
