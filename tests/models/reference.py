"""A pre-norm Transformer written from the formulas (Vaswani et al. 2017), sentence by sentence, to compare with.

Shapes: S source tokens, T target tokens, Q queries, K keys, E width, H heads, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def logits(weights: Weights, layers: tuple[int, int], heads: int, source_S: Tensor, inputs_T: Tensor) -> Tensor:
    """Logits [T, V] after each of the target tokens `inputs_T`, of one sentence without padding."""
    memory_SE = embed(weights["model.encoder.embed_tokens.weight"], source_S)
    for layer in range(layers[0]):
        at = f"model.encoder.layers.{layer}."
        normal_SE = norm(weights, at + "self_attn_layer_norm", memory_SE)
        memory_SE = memory_SE + attention(weights, at + "self_attn", normal_SE, normal_SE, heads)
        memory_SE = memory_SE + feed_forward(weights, at, norm(weights, at + "final_layer_norm", memory_SE))
    memory_SE = norm(weights, "model.encoder.layer_norm", memory_SE)
    hidden_TE = embed(weights["model.decoder.embed_tokens.weight"], inputs_T)
    for layer in range(layers[1]):
        at = f"model.decoder.layers.{layer}."
        normal_TE = norm(weights, at + "self_attn_layer_norm", hidden_TE)
        hidden_TE = hidden_TE + attention(weights, at + "self_attn", normal_TE, normal_TE, heads, causal=True)
        normal_TE = norm(weights, at + "encoder_attn_layer_norm", hidden_TE)
        hidden_TE = hidden_TE + attention(weights, at + "encoder_attn", normal_TE, memory_SE, heads)
        hidden_TE = hidden_TE + feed_forward(weights, at, norm(weights, at + "final_layer_norm", hidden_TE))
    bias_V = weights.get("lm_head.bias", torch.zeros(()))
    return norm(weights, "model.decoder.layer_norm", hidden_TE) @ weights["lm_head.weight"].T + bias_V


def embed(embedding_VE: Tensor, tokens: Tensor) -> Tensor:
    width = embedding_VE.shape[1]
    angles = [[place / 10000 ** (2 * i / width) for i in range(width // 2)] for place in range(len(tokens))]
    waves = [[*map(math.sin, row), *map(math.cos, row)] for row in angles]
    return embedding_VE[tokens] * math.sqrt(width) + torch.tensor(waves)


def norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[name + ".weight"] + weights[name + ".bias"]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def feed_forward(weights: Weights, at: str, x: Tensor) -> Tensor:
    return linear(weights, at + "fc2", linear(weights, at + "fc1", x).clamp(min=0))


def attention(weights: Weights, name: str, x_QE: Tensor, y_KE: Tensor, heads: int, causal: bool = False) -> Tensor:
    mixed = []
    parts = [(part, x_QE if part == "q" else y_KE) for part in "qkv"]
    maps = [linear(weights, f"{name}.{part}_proj", seen).chunk(heads, -1) for part, seen in parts]
    for query, key, value in zip(*maps, strict=True):
        score_QK = query @ key.T / math.sqrt(query.shape[-1])
        if causal:
            score_QK = score_QK.masked_fill(torch.ones_like(score_QK).triu(1).bool(), -math.inf)
        mixed.append(score_QK.softmax(-1) @ value)
    return linear(weights, name + ".out_proj", torch.cat(mixed, -1))
