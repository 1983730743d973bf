"""The sub-words of both languages: byte-pair encoding of Moses tokens, and back.

Source: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword units", ACL 2016, as the
library `tokenizers`. [choice] Words are split into bytes, not characters, before pairs are merged: every text can be
encoded, nothing is unknown, and decoding gives the Moses tokens back exactly.

Shapes: B sentences of a batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chtexp.data.translation.moses import Moses

PAD, BOS, EOS, UNK = range(4)
# Every other entry is made of the letters that stand for bytes, and a space is none of these: no text encodes to one of
# these four, whatever is written in it.
SPECIAL = ["<pad> ", "<bos> ", "<eos> ", "<unk> "]

Ids = Sequence[int]


def learn_bpe(lines: Iterable[str], merges: int) -> Tokenizer:
    """The encoding learnt from tokenised lines: four special entries, 256 bytes, and at most `merges` pairs (seen twice)."""
    learner = _byte_pairs(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=most_entries(merges),
        min_frequency=2,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(lines, trainer)
    # The learner looks for special entries in text, too; a fresh one around the same pairs does not.
    return _byte_pairs(learner.model)


def _byte_pairs(model: models.BPE) -> Tokenizer:
    """Each word with the space before it, as bytes."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def most_entries(merges: int) -> int:
    """Special entries, bytes, and pairs."""
    return len(SPECIAL) + 256 + merges


class Vocabulary:
    """Text to numbers and back, as the data set was prepared."""

    pad_id, bos_id, eos_id, unk_id = PAD, BOS, EOS, UNK

    def __init__(self, bpe: Tokenizer, source: Moses, target: Moses) -> None:
        self._bpe = bpe
        self._source, self._target = source, target

    @classmethod
    def read(cls, path: Path, source: Moses, target: Moses) -> Vocabulary:
        """The vocabulary that `write` left."""
        return cls(Tokenizer.from_file(str(path)), source, target)

    def write(self, path: Path) -> None:
        """One JSON file in the library's own format."""
        path.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """What `write` writes."""
        return str(self._bpe.to_str())

    @property
    def size(self) -> int:
        """Entries, the special ones included: ids are 0..size-1."""
        return int(self._bpe.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """A sentence of the source language: normalised, tokenised, split into sub-words, with `eos_id` at the end."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The same for several sentences; their lengths differ."""
        return self.encode_tokenised([self._source.tokenise(text) for text in texts])

    def encode_tokenised(self, lines: Sequence[str]) -> list[list[int]]:
        """Sentences, of either language, that are Moses tokens already."""
        encoded: list[list[int]] = [
            one.ids for one in self._bpe.encode_batch_fast(list(lines), add_special_tokens=False)
        ]
        for ids in encoded:
            ids.append(EOS)
        return encoded

    def decode(self, ids: Ids) -> str:
        """The text of a sentence of the target language, detokenised; what follows the first `eos_id` is not looked at."""
        return self.decode_batch([ids])[0]

    def decode_batch(self, ids: Iterable[Ids]) -> list[str]:
        """The same for several sentences, e.g. the rows of [B, T]."""
        return [self._target.detokenise(tokens) for tokens in self.decode_pipeline_batch(ids)]

    def decode_pipeline(self, ids: Ids) -> str:
        """The Moses tokens of a sentence, a space between two of them, as the paper's pipeline scores them."""
        return self.decode_pipeline_batch([ids])[0]

    def decode_pipeline_batch(self, ids: Iterable[Ids]) -> list[str]:
        """The same for several sentences, e.g. the rows of [B, T]."""
        words = self._bpe.decode_batch([_sub_words(list(map(int, one))) for one in ids], skip_special_tokens=False)
        return [" ".join(text.split()) for text in words]


def _sub_words(ids: list[int]) -> list[int]:
    """What stands before the end of the sentence and is not special."""
    end = ids.index(EOS) if EOS in ids else len(ids)
    return [one for one in ids[:end] if one >= len(SPECIAL)]
