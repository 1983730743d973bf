"""What text is split into before a vocabulary is learnt, and how it becomes text again."""

from __future__ import annotations

from typing import Protocol

from chtexp.config.translation import TranslationDataConfig
from chtexp.data.translation.moses import NORMALISERS, Moses


class Tokenisation(Protocol):
    """Text of one language to tokens and back."""

    def tokenise(self, text: str) -> str:
        """Tokenise a text: a space between two tokens, and no other white space."""

    def detokenise(self, tokens: str) -> str:
        """Write tokens as a person does."""

    def pipeline(self, tokens: str) -> str:
        """The Moses tokens of what `tokenise` made, as the paper's pipeline scores them."""


class Whitespace:
    """The text as it stands, split at white space alone: `dog` and `dog.` are two tokens, as OpenNMT reads a file.

    Args:
        language: `en` or `de`.
        normalise: one of NORMALISERS.
        lower_case: whether tokens are lower-cased.
    """

    def __init__(self, language: str, normalise: str, lower_case: bool) -> None:
        self._normalise = NORMALISERS[normalise](language)
        self._lower_case = lower_case
        self._moses = Moses(language, "none", lower_case)

    def tokenise(self, text: str) -> str:
        """See `Tokenisation`."""
        normal = self._normalise(text)
        return " ".join((normal.lower() if self._lower_case else normal).split())

    def detokenise(self, tokens: str) -> str:
        """The tokens are the text."""
        return tokens

    def pipeline(self, tokens: str) -> str:
        """See `Tokenisation`."""
        return self._moses.tokenise(tokens)


TOKENISATIONS: dict[str, type[Moses | Whitespace]] = {"moses": Moses, "whitespace": Whitespace}


def tokenisations_of(config: TranslationDataConfig) -> tuple[Tokenisation, Tokenisation]:
    """What splits source and target text."""
    kind = TOKENISATIONS[config.tokenisation]
    source, target = (
        kind(language, config.normalise, config.lower_case) for language in (config.source, config.target)
    )
    return source, target
