"""Translation by beam search, through transformers' `generate` (arXiv:2501.19107, translation experiments: beam 2).

Shapes: N sentences, S source tokens, B sentences of a batch, K beams, L tokens of a translation, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from chtexp.errors import UserError

if TYPE_CHECKING:
    from transformers import PegasusForConditionalGeneration


def translate(
    model: PegasusForConditionalGeneration,
    source_NS: Tensor,
    *,
    beam: int,
    length_penalty: float,
    extra_tokens: int = 50,
    most_tokens: int = 4096,
) -> list[list[int]]:
    """Find the best translation of every source by beam search.

    Each is a function of the model and its source alone, whatever is translated beside it; the model is left as it was.
    The search of a sentence ends once `beam` translations ended and no open one, as it stands, beats the worst of them.

    Args:
        model: the network.
        source_NS: int64 [N, S], token ids, each sentence ended by eos and padded at its end.
        beam: hypotheses kept for each sentence; 1 is greedy search.
        length_penalty: a translation's log-probability is divided by (its tokens with eos) to this power; 0 compares
            sums, 1 means [choice: the paper names a length penalty, not which].
        extra_tokens: a translation has at most so many tokens more than its source, both with eos [choice].
        most_tokens: of the sources of one batch, padded and counted once for each beam: speed and memory, not results.

    Returns:
        The token ids of every translation, without start, eos and padding.

    Raises:
        UserError: `beam` or `most_tokens` below 1, a source longer than the network has positions.
    """
    positions = model.config.max_position_embeddings
    for name, value in (("beam", beam), ("most_tokens", most_tokens)):
        if value < 1:
            raise UserError(f"{name} must be at least 1, not {value}")
    length_N = (source_NS != model.config.pad_token_id).sum(1).cpu()
    if len(length_N) and int(length_N.max()) > positions:
        raise UserError(
            f"a source has {int(length_N.max())} tokens, but model.max_positions is {positions}; cut it or raise that"
        )
    translations: list[list[int]] = [[] for _ in length_N]
    was_training = model.training
    model.eval()
    try:
        for rows in _batches(length_N, max(1, most_tokens // beam)):
            longest_B = (length_N[rows] + extra_tokens).clamp(max=positions)
            source_BS = source_NS[rows, : int(length_N[rows].max())].to(model.device)
            found = _search(model, source_BS, longest_B.to(model.device), beam, length_penalty)
            for row, tokens in zip(rows.tolist(), found, strict=True):
                translations[row] = tokens
    finally:
        model.train(was_training)
    return translations


def _batches(length_N: Tensor, most_tokens: int) -> Iterator[Tensor]:
    """Rows of sentences of similar length, the longest first; their padded tokens are at most `most_tokens` if they can."""
    order = length_N.argsort(descending=True, stable=True)
    first = 0
    while first < len(order):
        size = max(1, most_tokens // max(1, int(length_N[order[first]])))
        yield order[first : first + size]
        first += size


def _search(
    model: PegasusForConditionalGeneration, source_BS: Tensor, longest_B: Tensor, beam: int, length_penalty: float
) -> list[list[int]]:
    from transformers import GenerationConfig, LogitsProcessorList

    config = model.config
    pad, eos, start = config.pad_token_id, config.eos_token_id, config.decoder_start_token_id
    settings = GenerationConfig(
        num_beams=beam,
        do_sample=False,
        length_penalty=length_penalty,
        early_stopping=False,
        max_new_tokens=int(longest_B.max()),
        pad_token_id=pad,
        eos_token_id=eos,
        decoder_start_token_id=start,
    )
    words = _Words(longest_B, beam, eos, sorted({pad, start} - {eos}))
    tokens_BL = model.generate(
        source_BS,
        attention_mask=(source_BS != pad).long(),
        generation_config=settings,
        logits_processor=LogitsProcessorList([words]),
    )[:, 1:]
    ends_B = (tokens_BL == eos).int().argmax(1)
    return [tokens[:end] for tokens, end in zip(tokens_BL.tolist(), ends_B.tolist(), strict=True)]


class _Words:
    """Lets padding and start never be a translation's token, and only eos be its last one at its own limit."""

    def __init__(self, longest_B: Tensor, beam: int, eos: int, never: list[int]) -> None:
        self.longest_R1 = longest_B.repeat_interleave(beam)[:, None]  # R = B * K rows
        self.first_limit = int(longest_B.min())
        self.eos, self.never = eos, never

    def __call__(self, tokens_RL: Tensor, scores_RV: Tensor) -> Tensor:
        """Forbid tokens, in place: the scores are the search's own, and as large as a batch's logits.

        Args:
            tokens_RL: int64 [R, L], the hypotheses so far.
            scores_RV: [R, V], scores of the tokens to come.
        """
        scores_RV[:, self.never] = -torch.inf
        coming = tokens_RL.shape[1]  # the start token counts for the one to come
        if coming >= self.first_limit:
            eos_R = scores_RV[:, self.eos].clone()
            scores_RV.masked_fill_(coming >= self.longest_R1, -torch.inf)
            scores_RV[:, self.eos] = eos_R
        return scores_RV
