"""Language modelling by the paper's recipe (arXiv:2501.19107, Tables 3, 8 to 10, 13, 14, 16 and 17).

Shapes: B sequences, T tokens of a sequence, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.data.text import PADDING, SequenceBatches, TextData
from chtexp.errors import UserError
from chtexp.models.llama import Llama, LlamaConfig
from chtexp.processes import ALONE, Processes
from chtexp.randomness import derive_seed
from chtexp.tasks.adam import Adam, Share
from chtexp.tasks.base import Budget, Built, PositiveInt, Tested
from chtexp.tasks.ramps import Ramps
from chtexp.tasks.transfer import on_device
from chtexp.topology import Junction
from chtexp.typed import Description

FEWEST_UPDATES = 10
TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"  # kept in a run's folder, to use its model anywhere


class WarmUpCosine(Ramps):
    """Linear to `peak` over `warmup` steps (at the full budget), then half a cosine to `floor` times it [choice].

    schedule: `inoam_cosine` multiplies it with a ramp of `ramp_steps` after every topology update; `cosine` does not.
    """

    schedule: Literal["cosine", "inoam_cosine"] = "inoam_cosine"
    peak: Annotated[float, Field(gt=0)]
    warmup: PositiveInt
    floor: Share = 0.1


class LanguageModellingRecipe(Description):
    """steps: optimizer steps at the full budget, of `batch` sequences each.

    at_once: sequences of one forward pass in one process, whose gradients are summed up to those of the batch: it changes
    memory and time, and numbers by rounding. update_steps: between topology updates. evaluations: on the validation text, over
    the whole training. cpu_fraction: of the steps at budget=cpu.
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

    Updates are `update_steps` apart; where a short budget leaves room for fewer than ten, ten are spread over it [choice].
    """

    def __init__(self, recipe: LanguageModellingRecipe, budget: Budget, sequence_length: int) -> None:
        self.total_steps = budget.of(recipe.steps)
        self.said = budget.said("task.steps", recipe.steps)
        self.update_interval = max(1, min(recipe.update_steps, self.total_steps // FEWEST_UPDATES))
        self.evaluate_interval = max(1, self.total_steps // recipe.evaluations)
        self.warmup = budget.of(recipe.learning_rate.warmup)
        self._step_tokens = recipe.batch * sequence_length

    def positions(self, step: int) -> int:
        """Places of sequences that the first `step` steps compute: tokens, and the padding behind short documents."""
        return step * self._step_tokens


def build_llama_for(config: LlamaConfig, vocabulary: int, positions: int, seed: int) -> Built:
    """The network for a vocabulary of this size; its first weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = Llama(config, vocabulary, positions=positions)
    return Built(model, model.sparse_layers(), [Junction(*junction) for junction in model.junctions()])


class Part(NamedTuple):
    """Sequences [B, T + 1]: every token but the last is an input, every one but the first a target; PADDING is neither.

    weight: of a target's nats in the loss of this process, so that the processes' mean is that over all targets of the batch.
    """

    tokens: Tensor
    weight: float


class LanguageModelling:
    """The next token of text; see `chtexp.tasks.Task`. processes: they share every step and evaluation.

    The paper's perplexity is of validation text, and of the network as it is at the end: so is what a run reports and keeps.
    """

    metric = "perplexity"
    higher_is_better = False
    validation_metric: str | None = "perplexity"
    validation_higher_is_better = False
    reports_last = keeps_selected = True
    tests_once = False

    def __init__(
        self,
        recipe: LanguageModellingRecipe,
        budget: Budget,
        data: TextData,
        *,
        sequence_length: int,
        seed: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.length = LanguageModellingLength(recipe, budget, sequence_length)
        self.total_steps = self.length.total_steps
        self.evaluate_interval = self.length.evaluate_interval
        self.update_interval = self.length.update_interval
        self.recipe, self.device, self.processes, self.data = recipe, device, processes, data
        self.chance_loss = math.log(data.vocabulary)
        self._tokens = sequence_length
        self._train = _at_most(data.train.sequences(sequence_length), budget.train_limit)
        self._validation = _at_most(data.validation.sequences(sequence_length), budget.test_limit)
        if recipe.batch < processes.world:
            raise UserError(f"task.batch={recipe.batch} leaves nothing to some of {processes.world} processes")
        self._batches = SequenceBatches(self._train, recipe.batch, seed)
        self._counted = (0, 0)  # so many steps predict so many tokens

    def batches(self, first_step: int) -> Iterator[list[Part]]:
        """Of every step: what this process takes of its batch, at most `at_once` sequences at a time."""
        rank, world = self.processes.rank, self.processes.world
        indices = self._batches.iterate(first_step)
        for step in range(first_step, self.total_steps):
            batch = next(indices)
            mine, targets = batch[rank::world], self.data.train.targets(batch, self._tokens)
            parts = []
            for first in range(0, len(mine), self.recipe.at_once):
                some = mine[first : first + self.recipe.at_once]
                tokens = on_device(self.data.train.take(some, self._tokens), self.device)
                parts.append(Part(tokens, world / max(targets, 1)))
            self._counted = step + 1, self._predicted(step) + targets
            yield parts

    def loss(self, model: nn.Module, part: Part) -> Tensor:
        """The part's share of the mean negative log-likelihood a token of the batch, in nats."""
        return self._nats(model, part.tokens) * part.weight

    def _nats(self, model: nn.Module, tokens_BT: Tensor) -> Tensor:
        """The negative log-likelihood of all targets of sequences [B, T + 1], summed up."""
        inputs_BT, targets_BT = tokens_BT[:, :-1], tokens_BT[:, 1:]
        logits_BTV = model(inputs_BT.masked_fill(inputs_BT == PADDING, self.data.tokenizer.padding))
        return cross_entropy(
            logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction="sum", ignore_index=PADDING
        )

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """`perplexity` of the validation text, all of it but its first token (of every document, where each is a sequence);
        `validation_loss` of it, in nats a token.

        Summed over tokens, so that it is the same on any number of processes but for rounding.
        """
        sums = torch.zeros(2, dtype=torch.double, device=self.device)
        for tokens_BT in self._validation_parts():
            sums[0] += self._nats(model, tokens_BT)
            sums[1] += (tokens_BT[:, 1:] != PADDING).sum()
        nats_sum, tokens = self.processes.sum(sums).tolist()
        loss = nats_sum / tokens
        return {"perplexity": math.exp(min(loss, 700.0)), "validation_loss": loss}

    def _validation_parts(self) -> Iterator[Tensor]:
        """What this process takes of the validation text, at most `at_once` sequences [B, T + 1] at a time.

        What the whole sequences leave over is a part of its own, a shorter sequence, unless the budget limits the text.
        """
        text, size = self.data.validation, self.recipe.at_once
        firsts = range(0, self._validation, size)
        unlimited = self._validation == text.sequences(self._tokens)
        for part in range(self.processes.rank, len(firsts) + unlimited, self.processes.world):
            if part < len(firsts):
                tokens_BT = text.take(range(firsts[part], min(firsts[part] + size, self._validation)), self._tokens)
            else:
                tokens_BT = text.rest(self._tokens)
            if tokens_BT.shape[1] > 1:
                yield on_device(tokens_BT, self.device)

    def final_scores(self, model: nn.Module) -> Tested:
        """None: every evaluation is on the validation text."""
        raise NotImplementedError

    def keepsakes(self) -> dict[str, str]:
        """The tokenizer, as Hugging Face keeps it."""
        tokenizer = self.data.tokenizer
        settings = {"eos_token": tokenizer.end_token, "pad_token": tokenizer.padding_token}
        return {TOKENIZER: tokenizer.text(), SETTINGS: json.dumps(settings) + "\n"}

    def features(self) -> None:
        """Tokens have none to correlate."""
        return

    def passed(self, step: int) -> dict[str, float]:
        """Passes over the training text, and tokens predicted, padding left out."""
        return {"epoch": step / self._batches.batches_per_epoch, "tokens": float(self._predicted(step))}

    def _predicted(self, step: int) -> int:
        """Tokens that the first `step` steps of all processes predict: counted on where they are drawn, anew elsewhere."""
        counted, tokens = self._counted if self._counted[0] <= step else (0, 0)
        for batch in islice(self._batches.iterate(counted), step - counted):
            tokens += self.data.train.targets(batch, self._tokens)
        self._counted = step, tokens
        return tokens

    def positions(self, step: int) -> int:
        """Places of sequences that the first `step` steps compute."""
        return self.length.positions(step)


def _at_most(found: int, limit: int | None) -> int:
    return found if limit is None else min(found, limit)
