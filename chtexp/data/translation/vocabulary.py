"""Text of both languages to numbers and back: words, a vocabulary a language, or the sub-words that both share.

Shapes: B sentences of a batch, T tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models

from chtexp.data.translation.tokenisation import Tokenisation
from chtexp.data.translation.units import BOS, EOS, PAD, SPECIAL, UNK

Ids = Sequence[int]
Copies = Mapping[int, str]  # by the place of an unknown word in a sentence: what stands there instead
NOTHING: Copies = {}


class Vocabulary:
    """Text to numbers and back, as the data set was prepared.

    Args:
        units: one tokenizer for both languages, or the source's and the target's.
        source, target: split text of each language into tokens.
    """

    pad_id, bos_id, eos_id, unk_id = PAD, BOS, EOS, UNK

    def __init__(self, units: Sequence[Tokenizer], source: Tokenisation, target: Tokenisation) -> None:
        self._units = tuple(units)
        self._source, self._target = source, target

    @classmethod
    def read(cls, path: Path, source: Tokenisation, target: Tokenisation) -> Vocabulary:
        """Read the vocabulary that `write` left."""
        units = [Tokenizer.from_str(json.dumps(one)) for one in json.loads(path.read_text(encoding="utf-8"))]
        return cls(units, source, target)

    def write(self, path: Path) -> None:
        """Write one JSON list, its items in the library's own format."""
        path.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The text that `write` writes."""
        return f"[{','.join(one.to_str() for one in self._units)}]"

    @property
    def sizes(self) -> tuple[int, int]:
        """The entries of source and target, the special ones included: ids are 0..size-1."""
        return self._units[0].get_vocab_size(), self._units[-1].get_vocab_size()

    @property
    def of_words(self) -> bool:
        """Whether units are words, so that some text is unknown."""
        return isinstance(self._units[-1].model, models.WordLevel)

    @property
    def said(self) -> str:
        """Its sizes, in words."""
        source, target = self.sizes
        return f"{source} and {target} words" if self.of_words else f"{target} joint sub-words"

    def encode(self, text: str) -> list[int]:
        """Encode a sentence of the source language: normalised, tokenised, split into units, with `eos_id` at the end."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Encode several sentences of the source language; their lengths differ."""
        return self.encode_source([self._source.tokenise(text) for text in texts])

    def encode_source(self, lines: Sequence[str]) -> list[list[int]]:
        """Encode sentences of the source language that are tokens already."""
        return _encoded(self._units[0], lines)

    def encode_target(self, lines: Sequence[str]) -> list[list[int]]:
        """Encode sentences of the target language that are tokens already."""
        return _encoded(self._units[-1], lines)

    def source_words(self, text: str) -> list[str]:
        """The tokens of a sentence of the source language; where units are words, one for each number but the last."""
        return self._source.tokenise(text).split()

    def decode(self, ids: Ids, copies: Copies = NOTHING) -> str:
        """Decode a sentence of the target language to text. What follows the first `eos_id` is not looked at.

        Args:
            ids: of the sentence.
            copies: what stands for unknown words, by their places in `ids`; others become `<unk>`.
        """
        return self.decode_batch([ids], [copies])[0]

    def decode_batch(self, ids: Iterable[Ids], copies: Sequence[Copies] | None = None) -> list[str]:
        """Decode several sentences to text, e.g. the rows of [B, T]."""
        return [self._target.detokenise(tokens) for tokens in self._tokens(ids, copies)]

    def decode_pipeline(self, ids: Ids, copies: Copies = NOTHING) -> str:
        """Decode a sentence to Moses tokens, a space between two of them, as the paper's pipeline scores them."""
        return self.decode_pipeline_batch([ids], [copies])[0]

    def decode_pipeline_batch(self, ids: Iterable[Ids], copies: Sequence[Copies] | None = None) -> list[str]:
        """Decode several sentences to Moses tokens, e.g. the rows of [B, T]."""
        return [self._target.pipeline(tokens) for tokens in self._tokens(ids, copies)]

    def _tokens(self, ids: Iterable[Ids], copies: Sequence[Copies] | None) -> list[str]:
        """The tokens of sentences, a space between two of them."""
        sentences = [_until_the_end(list(map(int, one))) for one in ids]
        units = self._units[-1]
        if self.of_words:
            words = zip(sentences, [NOTHING] * len(sentences) if copies is None else copies, strict=True)
            return [" ".join(_words(units, sentence, copied)) for sentence, copied in words]
        spelt = [[one for one in sentence if one >= len(SPECIAL)] for sentence in sentences]
        return [" ".join(text.split()) for text in units.decode_batch(spelt, skip_special_tokens=False)]


def _encoded(units: Tokenizer, lines: Sequence[str]) -> list[list[int]]:
    encoded: list[list[int]] = [one.ids for one in units.encode_batch_fast(list(lines), add_special_tokens=False)]
    for ids in encoded:
        ids.append(EOS)
    return encoded


def _words(units: Tokenizer, sentence: list[int], copies: Copies) -> Iterator[str]:
    """What stands in `copies`, or the entry itself; `<unk>` of the unknown."""
    for place, one in enumerate(sentence):
        if one not in (PAD, BOS):
            yield copies.get(place) or str(units.id_to_token(one)).strip()


def _until_the_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(EOS)] if EOS in ids else ids
