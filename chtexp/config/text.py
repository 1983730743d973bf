"""Language modelling described: a corpus with every choice of preprocessing that changes numbers, the recipe, and its length."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from chtexp.config.budget import Budget
from chtexp.config.learning_rates import WarmUpCosine
from chtexp.config.optimizers import Adam
from chtexp.config.typed import Description, Words
from chtexp.errors import UserError

BPE = "bpe"
NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(?<!\.json)")  # of a tokenizer, as the hub's: owner/model
SMALLEST_VOCABULARY = 257  # the end-of-text token, and every byte

FEWEST_UPDATES = 10
FORMATS = (
    ".jsonl",
    ".jsonl.gz",
    ".json",
    ".json.gz",
    ".txt",
    ".txt.gz",
    ".parquet",
)  # of files of text, by how their names end


class TextDataConfig(Description):
    """A corpus, from its raw text to packed sequences of tokens.

    A list of files is read in its order, the files of a pattern in the order of their names. Of files that say how many they
    are, `train-00003-of-00080.parquet`, all must be there; a pattern that says it, too, `*-of-00080.parquet`, takes those that
    are.

    Attributes:
        family: `text`.
        name: as chosen.
        title: what it is, in words.
        stand_in: whether it stands in for another corpus, the paper's.
        hub, hub_config: a data set of the Hugging Face hub, streamed where no file matches.
        train, validation: files, or patterns of files (`*`, `**`), below the data root or anywhere.
        text_field: the field of a JSON line, or the column of a parquet file, that holds the text.
        plain_text: whether a text file is one document, or its paragraphs (parted by blank lines) are.
        documents: at most so many training documents, the first ones; the last files may be missing then.
        validation_share: of the documents of training files this share is held out for validation, too, chosen by a hash of
            their text. No training document is a validation document.
        validation_tokens: at most so many are evaluated, the first ones.
        tokenizer: `bpe` is learnt here, byte-level, from training documents; else the name of a tokenizer, as the hub has it.
            Only the name tells runs apart.
        tokenizer_file: a tokenizer.json or a folder with one, below the data root or anywhere; None: tokenizers/<tokenizer>.
            If it is not there, it is fetched from the hub.
        vocabulary: at most so many entries, end-of-text token included; of a given tokenizer, the number that it has.
        tokenizer_documents: `bpe` is learnt from the first so many training documents; None: from all.
        end_of_text: the token that ends every document; None: the tokenizer's own.
        packing: `stream` cuts all documents, one after the other, into sequences. `document` takes the beginning of every
            document, truncated and padded, as the paper's released code does. Perplexities of the two cannot be compared.
        sequence_length: tokens that a training example predicts, at the most. Like the packing it is chosen when data are
            loaded: what lies prepared on disk is the same.
    """

    family: Literal["text"] = Field(default="text", json_schema_extra={"identity": False})
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    title: Annotated[str, Field(json_schema_extra={"identity": False})]
    stand_in: Annotated[bool, Field(json_schema_extra={"identity": False})] = False
    hub: str | None = None
    hub_config: str | None = None
    train: Words
    validation: Words = ()
    text_field: str = "text"
    plain_text: Literal["file", "paragraphs"] = "paragraphs"
    documents: PositiveInt | None = None
    validation_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_tokens: PositiveInt | None = None
    tokenizer: str = BPE
    tokenizer_file: Annotated[str | None, Field(json_schema_extra={"identity": False})] = None
    vocabulary: PositiveInt = 32_000
    tokenizer_documents: PositiveInt | None = None
    end_of_text: str | None = None
    packing: Literal["stream", "document"] = "stream"
    sequence_length: PositiveInt

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


class LanguageModellingRecipe(Description):
    """How a language model is trained.

    Attributes:
        name: `language_modelling`.
        steps: optimizer steps at the full budget.
        batch: sequences of one step.
        at_once: sequences of one forward pass in one process, whose gradients are summed up to those of the batch. It changes
            memory and time, and numbers by rounding.
        update_steps: optimizer steps between topology updates.
        evaluations: on the validation text, over the whole training.
        optimizer: of all weights.
        learning_rate: over the training.
        cpu_fraction: of the steps at budget=cpu.
    """

    name: Literal["language_modelling"] = "language_modelling"
    steps: PositiveInt
    batch: PositiveInt = 512
    at_once: Annotated[int, Field(ge=1, json_schema_extra={"identity": False})] = 32
    update_steps: PositiveInt = 100
    evaluations: PositiveInt = 10
    optimizer: Adam
    learning_rate: WarmUpCosine
    cpu_fraction: Annotated[float, Field(gt=0, le=1, json_schema_extra={"identity": False})] = 0.1


class LanguageModellingLength:
    """How long a training is, before any data is read.

    Updates are `update_steps` apart; where a short budget leaves room for fewer than ten, about ten are spread over it [choice].

    Args:
        recipe: of the training.
        budget: how much of it is done.
        sequence_length: tokens of a sequence.
    """

    def __init__(self, recipe: LanguageModellingRecipe, budget: Budget, sequence_length: int) -> None:
        self.total_steps = budget.of(recipe.steps)
        self.said = budget.said("task.steps", recipe.steps)
        self.update_interval = max(1, min(recipe.update_steps, self.total_steps // FEWEST_UPDATES))
        self.evaluate_interval = max(1, self.total_steps // recipe.evaluations)
        self.warmup = budget.of(recipe.learning_rate.warmup)
        self._step_tokens = recipe.batch * sequence_length

    def positions(self, step: int) -> int:
        """Count the places of sequences that a training computes: tokens, and the padding behind short documents.

        Args:
            step: the training's first so many optimizer steps.
        """
        return step * self._step_tokens
