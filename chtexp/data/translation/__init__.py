"""Parallel text: raw files, checked, prepared once as tokens, and mapped from disk. Nothing here trains."""

from chtexp.data.translation.batches import TokenBatches, length_batches
from chtexp.data.translation.load import load_translation, vocabulary_sizes
from chtexp.data.translation.pairs import Pairs, TranslationData
from chtexp.data.translation.prepare import prepare_translation
from chtexp.data.translation.vocabulary import Vocabulary

__all__ = [
    "Pairs",
    "TokenBatches",
    "TranslationData",
    "Vocabulary",
    "length_batches",
    "load_translation",
    "prepare_translation",
    "vocabulary_sizes",
]
