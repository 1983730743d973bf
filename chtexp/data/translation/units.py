"""What a vocabulary consists of, learnt from tokenised lines: words as they stand, or sub-words.

Sub-words are a byte-pair encoding: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword
units", ACL 2016. [choice] Tokens are split into bytes, not characters, before pairs are merged: every text can be encoded,
nothing is unknown, and decoding gives the tokens back exactly. Both are learnt by the library `tokenizers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, EOS, UNK = range(4)
# A word holds no space, and sub-words are made of the letters that stand for bytes: no text encodes to one of these four,
# whatever is written in it. Words that are not in the vocabulary are the last.
SPECIAL = ["<pad> ", "<bos> ", "<eos> ", "<unk> "]


def learn_words(lines: Iterable[str], most: int) -> Tokenizer:
    """Learn the words of one language: the special ones, then words by falling frequency, then by the alphabet.

    Args:
        lines: tokenised.
        most: entries, at the most.
    """
    learner = _words(models.WordLevel(unk_token=SPECIAL[UNK]))
    trainer = trainers.WordLevelTrainer(vocab_size=most, special_tokens=SPECIAL, show_progress=False)
    learner.train_from_iterator(lines, trainer)
    # The learner looks for special entries in text, too; a fresh one around the same words does not.
    return _words(learner.model)


def _words(model: models.WordLevel) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def learn_bpe(lines: Iterable[str], merges: int) -> Tokenizer:
    """Learn a byte-pair encoding: four special entries, 256 bytes, and pairs seen twice.

    Args:
        lines: tokenised.
        merges: pairs, at the most.
    """
    learner = _byte_pairs(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=most_subwords(merges),
        min_frequency=2,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(lines, trainer)
    # As with words: a fresh one does not look for special entries in text.
    return _byte_pairs(learner.model)


def _byte_pairs(model: models.BPE) -> Tokenizer:
    """Each token with the space before it, as bytes."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def most_subwords(merges: int) -> int:
    """The entries at the most: special ones, bytes, and `merges` pairs."""
    return len(SPECIAL) + 256 + merges
