"""A corpus for language modelling described: where its text is, and every choice of preprocessing that changes numbers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from chtexp.data.text.raw import FORMATS
from chtexp.errors import UserError
from chtexp.typed import Description, Words

BPE = "bpe"
NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(?<!\.json)")  # of a tokenizer, as the hub's: owner/model
SMALLEST_VOCABULARY = 257  # the end-of-text token, and every byte

Positive = Annotated[int, Field(ge=1)]


class TextDataConfig(Description):
    """A corpus, from its raw text to packed sequences of tokens.

    title: what it is, in words. hub, hub_config: a data set of the Hugging Face hub, streamed where no file matches.
    train, validation: files, or patterns of files (`*`, `**`), below the data root or anywhere; a list is read in its order, a
    pattern's files in the order of their names. Of files that say how many they are, `train-00003-of-00080.parquet`, all must be
    there; a pattern that says it, too, `*-of-00080.parquet`, takes those that are. text_field: of a JSON line or a parquet row.
    plain_text: whether a text file is one document, or paragraphs (parted by blank lines) are. documents: at most so many
    training documents, the first ones; the last files may be missing then.

    Of the documents of training files the share `validation_share` is held out for validation, too, chosen by a hash of their
    text; no training document is a validation document. validation_tokens: at most so many are evaluated, the first ones.

    tokenizer: `bpe` is learnt here, byte-level, from (the first `tokenizer_documents`) training documents; else the name of a
    tokenizer, as the hub has it. Its file is looked for at `tokenizer_file` (a tokenizer.json or a folder with one, below the
    data root or anywhere; None: tokenizers/<tokenizer>) and, if it is not there, fetched from the hub. Only the name tells runs
    apart. vocabulary: at most so many entries, end-of-text token included; of a given tokenizer, the number that it has.
    end_of_text: the token that ends every document; None is the tokenizer's own.

    packing: `stream` cuts all documents, one after the other, into sequences; `document` takes the beginning of every document,
    truncated and padded, as the paper's released code does. Perplexities of the two cannot be compared. sequence_length: tokens
    a training example predicts, at the most. Both are chosen when data are loaded: what lies prepared on disk is the same.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    title: Annotated[str, Field(json_schema_extra={"identity": False})]
    hub: str | None = None
    hub_config: str | None = None
    train: Words
    validation: Words = ()
    text_field: str = "text"
    plain_text: Literal["file", "paragraphs"] = "paragraphs"
    documents: Positive | None = None
    validation_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_tokens: Positive | None = None
    tokenizer: str = BPE
    tokenizer_file: Annotated[str | None, Field(json_schema_extra={"identity": False})] = None
    vocabulary: Positive = 32_000
    tokenizer_documents: Positive | None = None
    end_of_text: str | None = None
    packing: Literal["stream", "document"] = "stream"
    sequence_length: Positive

    @model_validator(mode="after")
    def _files_of_known_formats(self) -> TextDataConfig:
        if not self.train:
            raise UserError("data.train must name the files of the corpus, e.g. data.train=[corpus/*.jsonl.gz]")
        for pattern in (*self.train, *self.validation):
            if not pattern.endswith(tuple(FORMATS)):
                raise UserError(f"'{pattern}' has no known format; known are {', '.join(FORMATS)}")
        if self.hub_config is not None and self.hub is None:
            raise UserError("data.hub_config is of a data set on the hub, but data.hub names none")
        return self

    @model_validator(mode="after")
    def _validated_on_something(self) -> TextDataConfig:
        if not self.validation and self.validation_share is None:
            raise UserError(
                f"{self.title} has no validation files: data.validation_share must say how many documents are held out, e.g. 0.01"
            )
        return self

    @model_validator(mode="after")
    def _learnt_or_given(self) -> TextDataConfig:
        if self.learnt and self.vocabulary < SMALLEST_VOCABULARY:
            raise UserError(f"data.vocabulary is {self.vocabulary}, but 'bpe' needs {SMALLEST_VOCABULARY} or more")
        if self.learnt and self.end_of_text is not None:
            raise UserError("data.end_of_text is for a given tokenizer: with 'bpe' it must be null")
        if not self.learnt and self.tokenizer_documents is not None:
            raise UserError("data.tokenizer_documents is for 'bpe': with a given tokenizer it must be null")
        if self.learnt and self.tokenizer_file is not None:
            raise UserError("data.tokenizer_file is of a given tokenizer: set data.tokenizer to its name")
        if not NAME.fullmatch(self.tokenizer):
            raise UserError(
                f"data.tokenizer is a name, such as 'google-t5/t5-base', not '{self.tokenizer}'; "
                "data.tokenizer_file says where it lies"
            )
        return self

    @property
    def learnt(self) -> bool:
        """Whether the tokenizer is learnt here."""
        return self.tokenizer == BPE

    @property
    def tokenizer_path(self) -> str:
        """Where the file of a given tokenizer is looked for first."""
        return self.tokenizer_file or f"tokenizers/{self.tokenizer}"
