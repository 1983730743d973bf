"""The Transformer in dynamic sparse training: its layers, chains and meetings fit, however the layers are executed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chtexp.models.beam_search import translate
from chtexp.models.transformer import chains, meetings, sparse_layers, target_logits
from chtexp.sparse import DynamicSparsity, load_method
from chtexp.tasks.smoothed_loss import smoothed_loss_sum
from chtexp.topology import Junction

from .small_transformers import PAD, sentences, transformer


def train(execution: str, steps: int = 12) -> tuple[Any, DynamicSparsity]:
    model = transformer(dropout=0.0, attention_dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.998))
    sparsity = DynamicSparsity(
        model,
        optimizer,
        load_method("chts_n", sparsity=0.8, topology="brf", weight_init="own"),
        total_steps=steps,
        update_interval=3,
        seed=0,
        layers=sparse_layers(model),
        chains=[*chains(model), *(Junction(tuple(pair)) for pair in meetings(model))],
        execution=execution,
    )
    for step in range(steps):
        target_BT = sentences(6, 3, 4, seed=step)
        smoothed, _, tokens = smoothed_loss_sum(
            target_logits(model, sentences(5, 2, 7, seed=step), target_BT), target_BT, PAD, 0.1
        )
        (smoothed / tokens).backward()
        sparsity.step()
        optimizer.zero_grad()
    return model, sparsity


@pytest.mark.parametrize("execution", ["dense", "csr"])
def test_it_trains_rewires_and_translates(execution: str) -> None:
    model, sparsity = train(execution)
    assert len(sparsity.records) == 3
    assert list(sparsity.masks) == sparse_layers(model)
    for mask_OI in sparsity.masks.values():
        assert int(mask_OI.sum()) == round(0.2 * mask_OI.numel())
    found = translate(model.eval(), sentences(5, 3), beam=2, length_penalty=1.0)
    assert len(found) == 2
    assert translate(model, sentences(5, 3), beam=2, length_penalty=1.0) == found


def test_both_executions_compute_the_same() -> None:
    (dense, _), (links, _) = train("dense", 3), train("csr", 3)
    tokens = sentences(7, 4)
    torch.testing.assert_close(target_logits(links, tokens, tokens), target_logits(dense, tokens, tokens))
