"""A translation data set described: its languages, and every choice of preprocessing that changes numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from chtexp.data.translation.corpora import CORPORA, Corpus
from chtexp.errors import UserError, unknown
from chtexp.typed import Description

Positive = Annotated[int, Field(ge=1)]


class Cleaning(Description):
    """Which training pairs are kept, by Moses' rule `clean-corpus-n`; lengths are in tokens.

    Both sides have `shortest` to `longest` tokens, and neither has more than `ratio` times as many as the other.
    """

    shortest: Positive = 1
    longest: Positive
    ratio: Annotated[float, Field(ge=1)]


class TranslationDataConfig(Description):
    """A translation data set, from its raw text to tokens.

    normalise: `punctuation` is Moses' normalize-punctuation, `apostrophes` makes ’ a '. tokenisation: what text is split into,
    `whitespace` (as OpenNMT reads a file) or `moses`. lower_case: after that.
    units: what is numbered, learnt from the training pairs: `words`, a vocabulary a language, or `subwords`, a byte-pair
    encoding that both languages share. most_words: entries of a vocabulary of words, the four special ones included; others
    are unknown. merges: of sub-words.
    cleaning: None keeps every training pair, and an empty line is an error. most_tokens: training pairs of more units on a
    side, end of sentence included, are dropped. validation_every: for a corpus without validation files, every so many-th
    training pair is held out. feed_forward: the paper's width of the network on it.
    """

    name: str
    source: Literal["en"] = "en"
    target: Literal["de"] = "de"
    normalise: Literal["none", "apostrophes", "punctuation"] = "none"
    tokenisation: Literal["whitespace", "moses"]
    lower_case: bool
    units: Literal["words", "subwords"]
    most_words: Annotated[int, Field(ge=5)]
    merges: Positive
    cleaning: Cleaning | None = None
    most_tokens: Annotated[int, Field(ge=2)] | None = None
    validation_every: Annotated[int, Field(ge=2)] | None = None
    feed_forward: Annotated[int, Field(ge=1, json_schema_extra={"identity": False})] = 2048

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in CORPORA:
            raise unknown("translation data set", name, CORPORA)
        return name

    @model_validator(mode="after")
    def _validated_on_something(self) -> TranslationDataConfig:
        if bool(self.corpus.validation) == bool(self.validation_every):
            has = "has validation files: data.validation_every must be null"
            lacks = "has no validation files: data.validation_every must say which training pairs are held out, e.g. 23"
            raise UserError(f"{self.corpus.title} {has if self.corpus.validation else lacks}")
        return self

    @property
    def corpus(self) -> Corpus:
        """The files that the text comes from."""
        return CORPORA[self.name]
