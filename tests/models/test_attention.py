"""Where a translation looks at its source: equal to the formula, head by head, and leaving no trace."""

from __future__ import annotations

import math

import pytest
import torch

from chtexp.models.attention import source_attention
from chtexp.models.transformer import target_logits

from .small_transformers import sentences, transformer


@pytest.mark.parametrize("embeddings", ["shared", "separate"])
def test_it_is_the_mean_over_the_heads_of_the_last_layers_attention(embeddings: str) -> None:
    model = transformer(embeddings=embeddings).eval()
    source_BS, target_BT = sentences(6, 3), sentences(4, 5, seed=1)
    heard: dict[str, torch.Tensor] = {}
    last = model.model.decoder.layers[-1].encoder_attn
    for name in ("q_proj", "k_proj"):
        getattr(last, name).register_forward_hook(lambda _, __, made, name=name: heard.update({name: made}))
    target_logits(model, source_BS, target_BT)  # computes queries and keys along another way
    queries, keys = heard["q_proj"].chunk(4, -1), heard["k_proj"].chunk(4, -1)
    found_BTS = source_attention(model, source_BS, target_BT)
    assert found_BTS.shape == (2, 5, 6)
    for row, words in enumerate((6, 3)):
        scores = [q[row] @ k[row, :words].T / math.sqrt(4) for q, k in zip(queries, keys, strict=True)]
        wanted_TS = torch.stack([score.softmax(-1) for score in scores]).mean(0)
        torch.testing.assert_close(found_BTS[row, :, :words], wanted_TS, atol=1e-5, rtol=1e-5)
        assert not found_BTS[row, :, words:].any()


def test_the_model_is_left_as_it_was() -> None:
    model = transformer().eval()
    tokens = sentences(6, 3)
    before = target_logits(model, tokens, tokens)
    source_attention(model, tokens, tokens)
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(target_logits(model, tokens, tokens), before)
