"""Text to tokens and back: byte-level byte-pair encoding learnt here, or a tokenizer that is given.

Source: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword units", ACL 2016, on bytes, and
words cut as GPT-2 cuts them (A. Radford et al., "Language models are unsupervised multitask learners", 2019), as the library
`tokenizers`: every text can be encoded, and decoding gives it back exactly.

Shapes: T tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chtexp.config.text import TextDataConfig
from chtexp.data.text.hub import fetch_tokenizer
from chtexp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
END_OF_TEXT = "<|endoftext|>"
USUAL_ENDS = (END_OF_TEXT, "</s>", "<eos>", "<|end_of_text|>")
USUAL_PADDINGS = ("<pad>", "[PAD]", "<|padding|>", "<|pad|>")
END = -1  # no id: where a document ends, before that is a token


class TextTokenizer:
    """Text to tokens and back. Text never encodes to the end of text.

    Args:
        tokenizer: of the library.
        end_token: ends a document.
        padding_token: fills up a shorter document; None: the same.

    Attributes:
        end_of_text, padding: the ids of these tokens.
        vocabulary: the number of ids.
    """

    def __init__(self, tokenizer: Tokenizer, end_token: str, padding_token: str | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # a special token that is written in a text is text
        ids = tokenizer.get_vocab()
        self._tokenizer = tokenizer
        self.end_token, self.end_of_text = end_token, ids[end_token]
        self.padding_token = padding_token or end_token
        self.padding = ids[self.padding_token]
        self.vocabulary = max(ids.values()) + 1

    @classmethod
    def read(cls, path: Path, end_token: str, padding_token: str | None = None) -> TextTokenizer:
        """Read a `tokenizer.json`.

        Args:
            path: the file.
            end_token, padding_token: as of `TextTokenizer`.

        Raises:
            UserError: the file holds no tokenizer, or no such tokens.
        """
        tokenizer = _from_file(path)
        if tokenizer.token_to_id(end_token) is None:
            raise UserError(f"{path} has no token '{end_token}'; set data.end_of_text to the one that ends a text")
        if padding_token and tokenizer.token_to_id(padding_token) is None:
            raise UserError(f"{path} has no token '{padding_token}', with which it was prepared")
        return cls(tokenizer, end_token, padding_token)

    @property
    def special_tokens(self) -> tuple[str, str]:
        """The end of text and the padding."""
        return self.end_token, self.padding_token

    def encode(self, text: str) -> list[int]:
        """Encode a text, without the end-of-text token."""
        tokens: list[int] = self.encode_documents([text])[:-1].tolist()
        return tokens

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Encode documents, on all cores.

        Args:
            texts: of the documents.

        Returns:
            int64 [T]: their tokens one after the other, each document with its end.
        """
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        flat = chain.from_iterable(chain(one.ids, (END,)) for one in encoded)
        tokens_T: NDArray[np.int64] = np.fromiter(flat, np.int64)
        tokens_T = tokens_T[tokens_T != self.end_of_text]  # e.g. T5's, from the strike-through of HTML
        tokens_T[tokens_T == END] = self.end_of_text
        return tokens_T

    def decode(self, ids: Iterable[int]) -> str:
        """Decode tokens; ends of text stand between documents."""
        return str(self._tokenizer.decode([int(one) for one in ids], skip_special_tokens=False))

    def text(self) -> str:
        """The content of its `tokenizer.json`."""
        return str(self._tokenizer.to_str())

    def hugging_face(self) -> PreTrainedTokenizerFast:
        """The same for transformers, both special tokens set: `save_pretrained` writes what `AutoTokenizer` loads."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(self.text()), eos_token=self.end_token, pad_token=self.padding_token
        )


def learn_bpe(texts: Iterable[str], vocabulary: int) -> TextTokenizer:
    """Learn an encoding from texts: the end of text, 256 bytes, and merges of pairs seen twice.

    Args:
        texts: that it is learnt from.
        vocabulary: entries, at the most.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    # No pair of merged words can spell it: it is cut into three.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return TextTokenizer(tokenizer, END_OF_TEXT)


def given_file(config: TextDataConfig, root: Path | None) -> Path | None:
    """Find the file of a given tokenizer; None if it is learnt, or not on this machine: then the hub has it."""
    if config.learnt or (path := _looked_for(config, root)) is None:
        return None
    file = path / TOKENIZER if path.is_dir() else path
    return file if file.is_file() else None


def given_tokenizer(config: TextDataConfig, root: Path | None) -> TextTokenizer:
    """Load the tokenizer that a description names: its file, or else the hub's of that name.

    Args:
        config: of the corpus.
        root: of the data.

    Raises:
        UserError: neither can be had, or it is not what `config` says.
    """
    path = given_file(config, root)
    by_hand = _looked_for(config, root) or Path("<paths.data>") / config.tokenizer_path
    found, settings = (path, path.with_name(SETTINGS)) if path else fetch_tokenizer(config.tokenizer, by_hand)
    tokenizer, called = _from_file(found), path or config.tokenizer
    end = config.end_of_text or _own(tokenizer, settings, "eos_token", USUAL_ENDS) or " or ".join(USUAL_ENDS)
    if tokenizer.token_to_id(end) is None:
        raise UserError(f"{called} has no token '{end}'; set data.end_of_text to the one that ends a text")
    padding = _own(tokenizer, settings, "pad_token", USUAL_PADDINGS)
    known = padding is not None and tokenizer.token_to_id(padding) is not None
    given = TextTokenizer(tokenizer, end, padding if known else None)
    if given.vocabulary != config.vocabulary:
        raise UserError(
            f"data.vocabulary is {config.vocabulary}, but {called} has {given.vocabulary} entries; "
            f"set data.vocabulary={given.vocabulary}"
        )
    return given


def _looked_for(config: TextDataConfig, root: Path | None) -> Path | None:
    """Where its file would be: below the data root, unless its path is absolute; None of a relative one without a root."""
    path = Path(config.tokenizer_path).expanduser()
    if root is None and not path.is_absolute():
        return None
    return (root or Path()).expanduser() / path


def _from_file(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read the tokenizer {path}: {error.strerror or error}; see data.tokenizer_file"
        ) from None
    except Exception as error:  # the library knows no narrower one
        raise UserError(f"{path} is no tokenizer of the library tokenizers: {error}; see data.tokenizer_file") from None


def _own(tokenizer: Tokenizer, settings: Path | None, name: str, usual: Sequence[str]) -> str | None:
    """A special token by the tokenizer's settings, or else the first usual one that it has."""
    if settings is not None and settings.is_file():
        try:
            token = json.loads(settings.read_bytes()).get(name)
        except ValueError as error:
            raise UserError(f"{settings} is no JSON ({error}); see data.tokenizer_file") from None
        if token is not None:
            return str(token["content"] if isinstance(token, dict) else token)
    return next((token for token in usual if tokenizer.token_to_id(token) is not None), None)
