"""Language modelling by the paper's recipe (arXiv:2501.19107, Tables 3, 8 to 10, 13, 14, 16 and 17).

Shapes: B sequences, T tokens of a sequence, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.config.budget import Budget
from chtexp.config.models import LlamaConfig
from chtexp.config.text import LanguageModellingLength, LanguageModellingRecipe
from chtexp.data.text import PADDING, SequenceBatches, TextData
from chtexp.distributed.group import ALONE, Processes
from chtexp.errors import UserError
from chtexp.models.llama import Llama
from chtexp.randomness import derive_seed
from chtexp.tasks.base import Built, Tested
from chtexp.tasks.selection import Selection
from chtexp.tasks.transfer import on_device
from chtexp.topology import Junction

TOKENIZER, SETTINGS = (
    "tokenizer.json",
    "tokenizer_config.json",
)  # in a run's folder, so that its model can be used anywhere


def build_llama_for(config: LlamaConfig, vocabulary: int, positions: int, seed: int) -> Built:
    """Build the network for a vocabulary.

    Args:
        config: the network's sizes.
        vocabulary: the number of tokens in the vocabulary.
        positions: the longest sequence, in tokens.
        seed: decides the first weights.

    Returns:
        The network, with its sparse layers and their junctions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = Llama(config, vocabulary, positions=positions)
    return Built(model, model.sparse_layers(), [Junction(*junction) for junction in model.junctions()])


class BatchPart(NamedTuple):
    """Sequences of a batch.

    Attributes:
        tokens: [B, T + 1] int64. Every token but the last is an input, every token but the first a target; PADDING is neither.
        weight: the factor of a target's loss. With it the losses of all parts, averaged over processes, add up to the mean
            over all targets of the batch.
    """

    tokens: Tensor
    weight: float


class LanguageModelling:
    """Prediction of the next token of a text; see `chtexp.tasks.Task`.

    The paper reports the validation perplexity of the network at the end of training. So does a run, and it keeps that network.

    Args:
        recipe: how to train.
        budget: how much of the data to use, and how long to train.
        data: the tokenised text.
        sequence_length: T, in tokens.
        seed: decides the order of the sequences.
        device: where this process trains.
        processes: those that train together; they share every batch and every evaluation.

    Raises:
        UserError: a batch has fewer sequences than there are processes.
    """

    metric = "perplexity"
    higher_is_better = False
    selection = Selection(moment="last", metric="perplexity", higher_is_better=False, keeps_model=True)

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
        self._counted = (0, 0)  # optimizer steps, and the tokens that they predict

    def batches(self, first_step: int) -> Iterator[list[BatchPart]]:
        """Iterate over batches of sequences.

        Args:
            first_step: the step to begin with, from 0.

        Yields:
            This process's share of a batch, in parts of at most `recipe.at_once` sequences.
        """
        rank, world = self.processes.rank, self.processes.world
        indices = self._batches.iterate(first_step)
        for step in range(first_step, self.total_steps):
            batch = next(indices)
            mine, targets = batch[rank::world], self.data.train.targets(batch, self._tokens)
            parts = []
            for first in range(0, len(mine), self.recipe.at_once):
                some = mine[first : first + self.recipe.at_once]
                tokens = on_device(self.data.train.take(some, self._tokens), self.device)
                parts.append(BatchPart(tokens, world / max(targets, 1)))
            self._counted = step + 1, self._predicted(step) + targets
            yield parts

    def loss(self, model: nn.Module, part: BatchPart) -> Tensor:
        """Compute what a part adds to the batch's mean negative log-likelihood a token.

        Args:
            model: the network.
            part: the part.

        Returns:
            A scalar, in nats a token.
        """
        return self._nats(model, part.tokens) * part.weight

    def _nats(self, model: nn.Module, tokens_BT: Tensor) -> Tensor:
        """The negative log-likelihood of sequences [B, T + 1], in nats, summed over targets."""
        inputs_BT, targets_BT = tokens_BT[:, :-1], tokens_BT[:, 1:]
        logits_BTV = model(inputs_BT.masked_fill(inputs_BT == PADDING, self.data.tokenizer.padding))
        return cross_entropy(
            logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction="sum", ignore_index=PADDING
        )

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Evaluate on the validation text.

        All of its tokens are targets but the first (of every document, where each document is a sequence). Sums run over
        tokens, so the result depends on the number of processes by rounding alone.

        Args:
            model: the network.

        Returns:
            `validation_loss`, the mean negative log-likelihood in nats a token, and `perplexity`, its exponential.
        """
        sums = torch.zeros(2, dtype=torch.double, device=self.device)
        for tokens_BT in self._validation_parts():
            sums[0] += self._nats(model, tokens_BT)
            sums[1] += (tokens_BT[:, 1:] != PADDING).sum()
        nats_sum, tokens = self.processes.sum(sums).tolist()
        loss = nats_sum / tokens
        return {"perplexity": math.exp(min(loss, 700.0)), "validation_loss": loss}

    def _validation_parts(self) -> Iterator[Tensor]:
        """This process's share of the validation text, in parts [B, T + 1] of at most `recipe.at_once` sequences.

        The text after the last whole sequence is a part of its own, one shorter sequence, unless the budget limits the text.
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
        """Do not call this: every evaluation is on the validation text, and nothing else is reported."""
        raise NotImplementedError

    def keepsakes(self) -> dict[str, str]:
        """Return the tokenizer in the files that Hugging Face reads."""
        tokenizer = self.data.tokenizer
        settings = {"eos_token": tokenizer.end_token, "pad_token": tokenizer.padding_token}
        return {TOKENIZER: tokenizer.text(), SETTINGS: json.dumps(settings) + "\n"}

    def features(self) -> None:
        """Return None, because tokens are no vectors to correlate."""
        return

    def passed(self, step: int) -> dict[str, float]:
        """Count passes over the training text, as `epoch`, and the targets so far without padding, as `tokens`."""
        return {"epoch": step / self._batches.batches_per_epoch, "tokens": float(self._predicted(step))}

    def _predicted(self, step: int) -> int:
        """The targets of the first `step` steps in all processes, counted on from the last step that was asked for."""
        counted, tokens = self._counted if self._counted[0] <= step else (0, 0)
        for batch in islice(self._batches.iterate(counted), step - counted):
            tokens += self.data.train.targets(batch, self._tokens)
        self._counted = step, tokens
        return tokens

    def positions(self, step: int) -> int:
        """Count the tokens that the first `step` steps process, padding included."""
        return self.length.positions(step)


def _at_most(found: int, limit: int | None) -> int:
    return found if limit is None else min(found, limit)
