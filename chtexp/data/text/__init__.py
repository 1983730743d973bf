"""Text for language modelling: documents, prepared once as one stream of tokens, and mapped from disk. Nothing here trains."""

from chtexp.data.text.batches import SequenceBatches
from chtexp.data.text.beginnings import PADDING, Beginnings
from chtexp.data.text.load import load_text, vocabulary_size
from chtexp.data.text.prepare import prepare_text
from chtexp.data.text.stream import TextData, TokenStream
from chtexp.data.text.tokenizer import TextTokenizer

__all__ = [
    "PADDING",
    "Beginnings",
    "SequenceBatches",
    "TextData",
    "TextTokenizer",
    "TokenStream",
    "load_text",
    "prepare_text",
    "vocabulary_size",
]
