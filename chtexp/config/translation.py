"""Translation described: a data set with every choice of preprocessing that changes numbers, the recipe, and its length."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from chtexp.config.budget import Budget
from chtexp.config.corpora import CORPORA, Corpus
from chtexp.config.learning_rates import InverseRoot
from chtexp.config.optimizers import Adam, Share
from chtexp.config.typed import Description
from chtexp.errors import UserError, unknown

FEWEST_UPDATES = 10
FEWEST_EVALUATIONS = 3


class Cleaning(Description):
    """Which training pairs are kept, by Moses' rule `clean-corpus-n`.

    Attributes:
        shortest, longest: tokens that each side has, at the least and at the most.
        ratio: neither side has more than so many times as many tokens as the other.
    """

    shortest: PositiveInt = 1
    longest: PositiveInt
    ratio: Annotated[float, Field(ge=1)]


class TranslationDataConfig(Description):
    """A translation data set, from its raw text to tokens.

    Attributes:
        family: `translation`.
        name: one of CORPORA.
        source, target: the languages.
        normalise: `punctuation` is Moses' normalize-punctuation, `apostrophes` makes ’ a '.
        tokenisation: what text is split into, `whitespace` (as OpenNMT reads a file) or `moses`.
        lower_case: whether tokens are lower-cased.
        units: what is numbered, learnt from the training pairs: `words`, a vocabulary for each language, or `subwords`, a
            byte-pair encoding that both languages share.
        most_words: entries of a vocabulary of words, the four special ones included; other words are unknown.
        merges: of sub-words.
        cleaning: which training pairs are kept; None: all, and an empty line is an error.
        most_tokens: training pairs of more units on a side, end of sentence included, are dropped; None: none is.
        validation_every: for a corpus without validation files, every so many-th training pair is held out.
        feed_forward: the paper's width of the network on it.
    """

    family: Literal["translation"] = Field(default="translation", json_schema_extra={"identity": False})
    name: str
    source: Literal["en"] = "en"
    target: Literal["de"] = "de"
    normalise: Literal["none", "apostrophes", "punctuation"] = "none"
    tokenisation: Literal["whitespace", "moses"]
    lower_case: bool
    units: Literal["words", "subwords"]
    most_words: Annotated[int, Field(ge=5)]
    merges: PositiveInt
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


class TranslationRecipe(Description):
    """How a network that translates is trained and tested.

    Attributes:
        name: `translation`.
        steps: optimizer steps at the full budget.
        batch_tokens: of the longer side of one batch, padding included.
        accumulate: batches whose gradients make one step.
        update_steps: optimizer steps between topology updates.
        evaluate_steps: optimizer steps between evaluations of the validation set.
        selection: the network that is tested is the one of the best `accuracy` of target tokens on the validation set, or of the
            best `loss`, once the final density is reached [choice: the paper says best on validation, its released code selects
            by accuracy, every 500 steps].
        smoothing: of labels, in [0, 1).
        optimizer: of all weights.
        learning_rate: over the training.
        beam: hypotheses of the search for translations.
        length_penalty: of that search.
        replace_unknown: whether an unknown word of a translation becomes the word of the source that it attends to most.
            Sub-words know every word.
        cpu_fraction: of the steps at budget=cpu.
    """

    name: Literal["translation"] = "translation"
    steps: PositiveInt
    batch_tokens: PositiveInt
    accumulate: PositiveInt = 1
    update_steps: PositiveInt = 100
    evaluate_steps: PositiveInt = 500
    selection: Literal["accuracy", "loss"] = "accuracy"
    smoothing: Share = 0.1
    optimizer: Adam
    learning_rate: InverseRoot
    beam: PositiveInt = 2
    length_penalty: float = 1.0
    replace_unknown: bool = True
    cpu_fraction: Annotated[float, Field(gt=0, le=1, json_schema_extra={"identity": False})] = 0.1


class TranslationLength:
    """How long a training is, before any data is read.

    Updates are `update_steps` apart, evaluations `evaluate_steps`; where a short budget leaves room for fewer than ten updates or
    three evaluations, so many are spread over it [choice].

    Args:
        recipe: of the training.
        budget: how much of it is done.
    """

    def __init__(self, recipe: TranslationRecipe, budget: Budget) -> None:
        self.total_steps = budget.of(recipe.steps)
        self.said = budget.said("task.steps", recipe.steps)
        self.update_interval = max(1, min(recipe.update_steps, self.total_steps // FEWEST_UPDATES))
        self.evaluate_interval = max(1, min(recipe.evaluate_steps, self.total_steps // FEWEST_EVALUATIONS))
        self.warmup = budget.of(recipe.learning_rate.warmup)
        self._step_tokens = recipe.batch_tokens * recipe.accumulate

    def positions(self, step: int) -> int:
        """Count the tokens on either side that a training processes: batches are counted as full.

        Args:
            step: the training's first so many optimizer steps.
        """
        return step * self._step_tokens
