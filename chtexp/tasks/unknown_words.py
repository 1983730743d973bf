"""Unknown words of a translation, replaced by words of its source, as OpenNMT's `replace_unk` does.

Shapes: S source tokens, T target tokens.
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
    """Of every translation: by the places of its unknown words, the words of the source that they attend to most.

    texts: the sentences that were translated, none empty. translations: token ids, as beam search found them. For vocabularies of
    words.
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
    """The same of one translation, by its attention; neither padding nor the end of the source is a word."""
    words = vocabulary.source_words(text)
    places = attention_TS[:, : len(words)].argmax(1).tolist()
    return {at: words[places[at]] for at, one in enumerate(translation) if one == vocabulary.unk_id}


def _padded(sentences: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(one) for one in sentences], batch_first=True, padding_value=Vocabulary.pad_id)
