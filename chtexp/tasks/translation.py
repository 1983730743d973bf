"""Translation by the paper's recipe (arXiv:2501.19107, Tables 2, 11 and 12).

Shapes: B sentence pairs, S source tokens, T target tokens, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from chtexp.data.translation import Pairs, TokenBatches, TranslationData, Vocabulary, length_batches
from chtexp.data.translation.vocabulary import NOTHING, Copies
from chtexp.models.beam_search import translate
from chtexp.models.transformer import Transformer, TransformerConfig
from chtexp.processes import ALONE, Processes
from chtexp.randomness import derive_seed
from chtexp.tasks.adam import Adam, Share
from chtexp.tasks.base import Budget, Built, PositiveInt, Tested
from chtexp.tasks.ramps import Ramps
from chtexp.tasks.smoothed_loss import smoothed_loss_sum
from chtexp.tasks.transfer import on_device
from chtexp.tasks.translation_scores import score
from chtexp.tasks.unknown_words import copied_words
from chtexp.topology import Junction
from chtexp.typed import Description

FEWEST_UPDATES = 10
FEWEST_EVALUATIONS = 3
EVALUATION_TOKENS = 4096
VOCABULARY = "vocabulary.json"  # kept in a run's folder, so that its model can be used anywhere


class InverseRoot(Ramps):
    """`noam`: factor * width^-0.5 * min(n^-0.5, n * warmup^-1.5) at step n; `inoam`: that, times a ramp of `ramp_steps` after
    every topology update (without updates the two are one). warmup: at the full budget.
    """

    schedule: Literal["noam", "inoam"] = "inoam"
    factor: Annotated[float, Field(gt=0)]
    warmup: PositiveInt


class TranslationRecipe(Description):
    """steps: optimizer steps at the full budget. batch_tokens: of the longer side, padding included, of one batch.

    accumulate: batches whose gradients make one step. update_steps: between topology updates. evaluate_steps: between
    evaluations of the validation set. selection: the network that is tested is the one of the best `accuracy` of target tokens
    on the validation set, or of the best `loss`, once the final density is reached [choice: the paper says best on validation,
    its released code selects by accuracy, every 500 steps].
    beam, length_penalty: of the search for translations. replace_unknown: an unknown word of a translation becomes the word of
    the source that it attends to most; sub-words know every word. cpu_fraction: of the steps at budget=cpu.
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
    """

    def __init__(self, recipe: TranslationRecipe, budget: Budget) -> None:
        self.total_steps = budget.of(recipe.steps)
        self.said = budget.said("task.steps", recipe.steps)
        self.update_interval = max(1, min(recipe.update_steps, self.total_steps // FEWEST_UPDATES))
        self.evaluate_interval = max(1, min(recipe.evaluate_steps, self.total_steps // FEWEST_EVALUATIONS))
        self.warmup = budget.of(recipe.learning_rate.warmup)
        self._step_tokens = recipe.batch_tokens * recipe.accumulate

    def positions(self, step: int) -> int:
        """Tokens on either side that the first `step` steps process: batches are counted as full."""
        return step * self._step_tokens


def build_transformer_for(config: TransformerConfig, vocabulary: tuple[int, int], seed: int) -> Built:
    """The network for vocabularies of these sizes, source and target; its first weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "model"))
        model = Transformer(
            config, vocabulary, pad_id=Vocabulary.pad_id, eos_id=Vocabulary.eos_id, start_id=Vocabulary.bos_id
        )
    # queries and keys meet in a dot product: a neuron of one needs its partner of the other
    meetings = [Junction(tuple(names), ()) for names in model.meetings()]
    return Built(model, model.sparse_layers(), [*model.chains(), *meetings])


@torch.inference_mode()
def translated(
    model: Transformer, vocabulary: Vocabulary, recipe: TranslationRecipe, source_NS: Tensor, texts: Sequence[str]
) -> tuple[list[list[int]], list[Copies]]:
    """Translations as the recipe searches for them, as token ids, and what stands for their unknown words.

    source_NS: sentences as `translate` takes them. texts: the same as they were written.
    """
    found = translate(model.network, source_NS, beam=recipe.beam, length_penalty=recipe.length_penalty)
    if not (recipe.replace_unknown and vocabulary.of_words):
        return found, [NOTHING] * len(found)
    return found, copied_words(model, vocabulary, texts, found)


class Part(NamedTuple):
    """Sentence pairs [B, S] and [B, T]. per_token: what a token's loss counts, so that losses of all parts of a step, averaged
    over processes, add up to the mean over the step's target tokens.
    """

    source: Tensor
    target: Tensor
    per_token: float


class Translation:
    """Translation of prepared sentence pairs; see `chtexp.tasks.Task`. processes: they share every step and evaluation."""

    metric = "bleu"
    higher_is_better = True
    tests_once = keeps_selected = True
    reports_last = False

    def __init__(
        self,
        recipe: TranslationRecipe,
        budget: Budget,
        data: TranslationData,
        *,
        lower_case: bool,
        seed: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.length = TranslationLength(recipe, budget)
        self.total_steps = self.length.total_steps
        self.evaluate_interval = self.length.evaluate_interval
        self.update_interval = self.length.update_interval
        self.recipe, self.device, self.processes = recipe, device, processes
        self.validation_metric: str | None = f"validation_{recipe.selection}"
        self.validation_higher_is_better = recipe.selection == "accuracy"
        self.vocabulary, self.lower_case = data.vocabulary, lower_case
        self.chance_loss = math.log(data.vocabulary.sizes[1])
        self.train = _first(data.train, budget.train_limit)
        self.validation, self.test_pairs = (_first(pairs, budget.test_limit) for pairs in (data.validation, data.test))
        self._batches = TokenBatches(self.train.source_lengths, self.train.target_lengths, recipe.batch_tokens, seed)

    def batches(self, first_step: int) -> Iterator[list[Part]]:
        """Of every step: its batches, of each the part of this process."""
        many = self.recipe.accumulate
        indices = self._batches.iterate(first_step * many)
        rank, world = self.processes.rank, self.processes.world
        for _ in range(first_step, self.total_steps):
            together = list(islice(indices, many))
            per_token = world / sum(int(self.train.target_lengths[pairs].sum()) for pairs in together)
            parts = []
            for pairs in together:
                # a batch of fewer pairs than processes: the others take one that counts nothing
                mine, counts = (pairs[rank::world], per_token) if rank < len(pairs) else (pairs[:1], 0.0)
                source, target = (on_device(tensor, self.device) for tensor in self.train.padded(mine))
                parts.append(Part(source, target, counts))
            yield parts

    def loss(self, model: nn.Module, part: Part) -> Tensor:
        """Label-smoothed loss of a part, in nats a token."""
        logits_BTV = model(part.source, part.target)
        loss, _, _ = smoothed_loss_sum(logits_BTV, part.target, self.vocabulary.pad_id, self.recipe.smoothing)
        return loss * part.per_token

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Of the target tokens of the validation set, padding not among them: `validation_loss`, the negative log-likelihood
        of one in nats, without smoothing; its perplexity; and `validation_accuracy`, the percentage that the network guesses
        right, given all before.
        """
        sums = torch.zeros(3, dtype=torch.double, device=self.device)
        longer = self.validation.source_lengths.clip(min=self.validation.target_lengths)
        batches = length_batches(longer, max(EVALUATION_TOKENS, int(longer.max())))
        for pairs in batches[self.processes.rank :: self.processes.world]:
            source, target = (on_device(tensor, self.device) for tensor in self.validation.padded(pairs))
            logits_BTV = model(source, target)
            _, plain, tokens = smoothed_loss_sum(logits_BTV, target, self.vocabulary.pad_id, 0.0)
            right = ((logits_BTV.argmax(-1) == target) & (target != self.vocabulary.pad_id)).sum()
            sums += torch.stack([plain.double(), right.double(), tokens.double()])
        loss, right, count = self.processes.sum(sums).tolist()
        return {
            "validation_loss": loss / count,
            "validation_perplexity": math.exp(min(loss / count, 700.0)),
            "validation_accuracy": 100 * right / count,
        }

    @torch.inference_mode()
    def final_scores(self, model: nn.Module) -> Tested:
        """BLEU of the test set by beam search, of words and sub-words alike. `bleu` is the paper's pipeline score (lower-cased,
        Moses-tokenised); `sacrebleu` and `chrf` are the standard scores of text (lower-cased where the data are).
        """
        assert isinstance(model, Transformer)
        pairs, mine = self.test_pairs, range(self.processes.rank, len(self.test_pairs), self.processes.world)
        source, _ = pairs.padded(torch.tensor(list(mine), dtype=torch.long).numpy())
        texts = [pairs.source_text[row] for row in mine]
        found, copies = translated(model, self.vocabulary, self.recipe, source, texts)
        said: list[tuple[list[int], Copies]] = [([], NOTHING)] * len(pairs)
        for rank, part in enumerate(self.processes.gathered(list(zip(found, copies, strict=True)))):
            said[rank :: self.processes.world] = part
        ids, words = zip(*said, strict=True)
        texts, tokens = self.vocabulary.decode_batch(ids, words), self.vocabulary.decode_pipeline_batch(ids, words)
        scores = score(texts, pairs.target_text, tokens, pairs.target_pipeline, lower_case=self.lower_case)
        lines = [
            json.dumps({"source": s, "reference": r, "hypothesis": h, "hypothesis_tokens": t}, ensure_ascii=False)
            for s, r, h, t in zip(pairs.source_text, pairs.target_text, texts, tokens, strict=True)
        ]
        return Tested(
            metrics={"bleu": scores.pipeline_bleu, "sacrebleu": scores.bleu, "chrf": scores.chrf},
            details={
                "signatures": {
                    "bleu": scores.pipeline_bleu_signature,
                    "sacrebleu": scores.bleu_signature,
                    "chrf": scores.chrf_signature,
                },
                "beam": self.recipe.beam,
                "length_penalty": self.recipe.length_penalty,
            },
            files={"translations.jsonl": "\n".join(lines) + "\n"},
        )

    def keepsakes(self) -> dict[str, str]:
        """The vocabulary of both languages."""
        return {VOCABULARY: self.vocabulary.text()}

    def features(self) -> None:
        """Tokens have none to correlate."""
        return

    def passed(self, step: int) -> dict[str, float]:
        """Passes over the training pairs."""
        return {"epoch": step * self.recipe.accumulate / self._batches.batches_per_epoch}

    def positions(self, step: int) -> int:
        """Tokens on either side that the first `step` steps process."""
        return self.length.positions(step)


def _first(pairs: Pairs, limit: int | None) -> Pairs:
    return pairs if limit is None else pairs.subset(limit)
