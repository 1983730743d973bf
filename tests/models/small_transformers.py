"""Tiny Transformers and padded sentences: what the tests of this folder share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chtexp.config.models import TransformerConfig
from chtexp.models.transformer import build_transformer
from chtexp.randomness import derive_seed

PAD, EOS, START = 0, 1, 2


def config(**changes: Any) -> TransformerConfig:
    small = {
        "width": 16, "feed_forward": 24, "encoder_layers": 2, "decoder_layers": 3, "heads": 4, "embeddings": "shared",
        "max_positions": 64,
    }  # fmt: skip
    return TransformerConfig(**(small | changes))


def transformer(
    vocabulary: int = 11, *, source: int | None = None, seed: int = 0, spread: float = 1.0, **changes: Any
) -> Any:
    """A tiny Transformer; every tensor that starts at a constant is moved away from it.

    vocabulary: of the target; of the source, too, unless `source` says otherwise. spread: scales the generator, and with it a
    shared embedding.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = build_transformer(config(**changes), (source or vocabulary, vocabulary), PAD, EOS, START)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias") or "layer_norm" in name:
                    parameter += 0.3 * torch.randn_like(parameter)
            model.lm_head.weight *= spread
    return model


def sentences(*lengths: int, vocabulary: int = 11, seed: int = 0) -> Tensor:
    """Random sentences of these lengths, eos among them, padded at their ends."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(3, vocabulary, (len(lengths), max(lengths)), generator=generator)
    for row, length in enumerate(lengths):
        tokens[row, length - 1] = EOS
        tokens[row, length:] = PAD
    return tokens
