"""Replacement of a translation's unknown words by words of its source, as OpenNMT's `replace_unk` does.

Shapes: B sentences, S source tokens, T target tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from chtexp.data.translation import Vocabulary
from chtexp.data.translation.vocabulary import NOTHING, Copies
from chtexp.models.attention import source_attention
from chtexp.models.transformer import Transformer

AT_ONCE = 64  # sentences


@torch.inference_mode()
def copied_words(
    model: Transformer, vocabulary: Vocabulary, texts: Sequence[str], translations: Sequence[list[int]]
) -> list[Copies]:
    """Find the source word that each unknown word of some translations attends to most.

    Args:
        model: the network that translated.
        vocabulary: of both languages; its tokens are words.
        texts: the source sentences, none of them empty.
        translations: their translations as token ids, as beam search found them.

    Returns:
        For every translation the source words, by the position of the unknown word that they replace.
    """
    copies, network = [NOTHING] * len(translations), model.network
    unknown = [row for row, ids in enumerate(translations) if vocabulary.unk_id in ids]
    for first in range(0, len(unknown), AT_ONCE):
        rows = unknown[first : first + AT_ONCE]
        source_BS = _padded(vocabulary.encode_batch(texts[row] for row in rows)).to(network.device)
        target_BT = _padded([translations[row] for row in rows]).to(network.device)
        for row, attention_TS in zip(rows, source_attention(network, source_BS, target_BT), strict=True):
            copies[row] = copied(vocabulary, texts[row], translations[row], attention_TS)
    return copies


def copied(vocabulary: Vocabulary, text: str, translation: Sequence[int], attention_TS: Tensor) -> Copies:
    """Find the source word that each unknown word of one translation attends to most.

    Args:
        vocabulary: of both languages.
        text: the source sentence.
        translation: its translation as token ids.
        attention_TS: [T, S], the attention of every target token to every source token; that to padding and to the end of
            the source is ignored.

    Returns:
        The source words, by the position of the unknown word that they replace.
    """
    words = vocabulary.source_words(text)
    places = attention_TS[:, : len(words)].argmax(1).tolist()
    return {at: words[places[at]] for at, one in enumerate(translation) if one == vocabulary.unk_id}


def _padded(sentences: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(one) for one in sentences], batch_first=True, padding_value=Vocabulary.pad_id)
