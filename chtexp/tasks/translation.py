"""Translation by the paper's recipe (arXiv:2501.19107, Tables 2, 11 and 12).

Shapes: B sentence pairs, S source tokens, T target tokens, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from chtexp.config.budget import Budget
from chtexp.config.models import TransformerConfig
from chtexp.config.translation import TranslationLength, TranslationRecipe
from chtexp.data.translation import Pairs, TokenBatches, TranslationData, Vocabulary, length_batches
from chtexp.data.translation.vocabulary import NOTHING, Copies
from chtexp.distributed.group import ALONE, Processes
from chtexp.models.beam_search import translate
from chtexp.models.transformer import Transformer
from chtexp.randomness import derive_seed
from chtexp.tasks.base import Built, Tested
from chtexp.tasks.selection import Selection
from chtexp.tasks.smoothed_loss import smoothed_loss_sum
from chtexp.tasks.transfer import on_device
from chtexp.tasks.translation_scores import score
from chtexp.tasks.unknown_words import copied_words
from chtexp.topology import Junction

EVALUATION_TOKENS = 4096
VOCABULARY = "vocabulary.json"  # in a run's folder, so that its model can be used anywhere


def build_transformer_for(config: TransformerConfig, vocabulary: tuple[int, int], seed: int) -> Built:
    """Build the network for two vocabularies.

    Args:
        config: the network's sizes.
        vocabulary: the numbers of tokens in the source's and the target's vocabulary.
        seed: decides the first weights.

    Returns:
        The network, with its sparse layers, and which of them feed which.
    """
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
    """Translate sentences by the recipe's beam search.

    Args:
        model: the network.
        vocabulary: of both languages.
        recipe: the width and the length penalty of the search, and whether to replace unknown words.
        source_NS: [N, S] int64, the padded sentences, as `chtexp.models.beam_search.translate` takes them.
        texts: the same N sentences as text.

    Returns:
        The translations as token ids, and for each the words that stand for its unknown words.
    """
    found = translate(model.network, source_NS, beam=recipe.beam, length_penalty=recipe.length_penalty)
    if not (recipe.replace_unknown and vocabulary.of_words):
        return found, [NOTHING] * len(found)
    return found, copied_words(model, vocabulary, texts, found)


class BatchPart(NamedTuple):
    """Sentence pairs of a batch.

    Attributes:
        source: [B, S] int64.
        target: [B, T] int64.
        per_token: the factor of a target token's loss. With it the losses of all parts of a step, averaged over processes, add
            up to the mean over the step's target tokens.
    """

    source: Tensor
    target: Tensor
    per_token: float


class Translation:
    """Translation of prepared sentence pairs; see `chtexp.tasks.Task`.

    Args:
        recipe: how to train, and how to translate.
        budget: how much of the data to use, and how long to train.
        data: the sentence pairs and the vocabulary of both languages.
        lower_case: whether the data are lower-cased, so that standard scores ignore case.
        seed: decides the order of the batches.
        device: where this process trains.
        processes: those that train together; they share every batch and every evaluation.
    """

    metric = "bleu"
    higher_is_better = True

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
        self.selection = Selection(
            moment="best validation",
            metric=f"validation_{recipe.selection}",
            higher_is_better=recipe.selection == "accuracy",
            keeps_model=True,
            tested_once=True,
        )
        self.vocabulary, self.lower_case = data.vocabulary, lower_case
        self.chance_loss = math.log(data.vocabulary.sizes[1])
        self.train = _first(data.train, budget.train_limit)
        self.validation, self.test_pairs = (_first(pairs, budget.test_limit) for pairs in (data.validation, data.test))
        self._batches = TokenBatches(self.train.source_lengths, self.train.target_lengths, recipe.batch_tokens, seed)

    def batches(self, first_step: int) -> Iterator[list[BatchPart]]:
        """Iterate over the steps of the training; a step accumulates `recipe.accumulate` batches.

        Args:
            first_step: the step to begin with, from 0.

        Yields:
            This process's share of every batch of a step.
        """
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
                parts.append(BatchPart(source, target, counts))
            yield parts

    def loss(self, model: nn.Module, part: BatchPart) -> Tensor:
        """Compute what a part adds to the label-smoothed loss of a step.

        Args:
            model: the network.
            part: the part.

        Returns:
            A scalar, in nats a token.
        """
        logits_BTV = model(part.source, part.target)
        loss, _, _ = smoothed_loss_sum(logits_BTV, part.target, self.vocabulary.pad_id, self.recipe.smoothing)
        return loss * part.per_token

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Evaluate on the target tokens of the validation set; padding does not count.

        Args:
            model: the network.

        Returns:
            `validation_loss`, the mean negative log-likelihood without smoothing in nats a token; `validation_perplexity`, its
            exponential; `validation_accuracy`, the percentage of tokens that the network predicts, given all tokens before.
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
        """Translate the test set by beam search, and score the translations.

        Args:
            model: the network.

        Returns:
            `bleu`, the score of the paper's pipeline (lower-cased, Moses-tokenised text); `sacrebleu` and `chrf`, the standard
            scores (of lower-cased text where the data are lower-cased). All are in 0..100. The file translations.jsonl has
            every sentence with its reference and its translation.
        """
        assert isinstance(model, Transformer)
        pairs, mine = self.test_pairs, range(self.processes.rank, len(self.test_pairs), self.processes.world)
        source, _ = pairs.padded(torch.tensor(list(mine), dtype=torch.long).numpy())
        texts = [pairs.source_text[row] for row in mine]
        found, copies = translated(model, self.vocabulary, self.recipe, source, texts)
        everything: list[tuple[list[int], Copies]] = [([], NOTHING)] * len(pairs)
        for rank, part in enumerate(self.processes.all_gather(list(zip(found, copies, strict=True)))):
            everything[rank :: self.processes.world] = part
        ids, words = zip(*everything, strict=True)
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
        """Return the vocabulary of both languages."""
        return {VOCABULARY: self.vocabulary.text()}

    def features(self) -> None:
        """Return None, because tokens are no vectors to correlate."""
        return

    def passed(self, step: int) -> dict[str, float]:
        """Count passes over the training pairs, as `epoch`."""
        return {"epoch": step * self.recipe.accumulate / self._batches.batches_per_epoch}

    def positions(self, step: int) -> int:
        """Count the tokens, of source and target, that the first `step` steps process."""
        return self.length.positions(step)


def _first(pairs: Pairs, limit: int | None) -> Pairs:
    return pairs if limit is None else pairs.subset(limit)
