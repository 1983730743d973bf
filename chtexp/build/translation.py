"""The parts of a run of translation.

Shapes: B sentence pairs, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from chtexp.build.builder import adam, task_class
from chtexp.config.models import TransformerConfig
from chtexp.config.run import Run
from chtexp.config.translation import TranslationDataConfig, TranslationLength, TranslationRecipe
from chtexp.data import Origin
from chtexp.data.translation import load_translation, prepare_translation, vocabulary_sizes
from chtexp.distributed.group import ALONE, Processes
from chtexp.tasks import Built, Task
from chtexp.tasks.smoothed_loss import smoothed_loss_sum
from chtexp.tasks.translation import Translation, build_transformer_for
from chtexp.train.learning_rate import LastUpdate, Rate, inoam, noam

EXAMPLE_TOKENS = 32  # of an example sentence


@dataclass(frozen=True)
class TranslationBuilder:
    """Builds runs of translation; see `Builder`."""

    run: Run
    data: TranslationDataConfig
    network: TransformerConfig
    recipe: TranslationRecipe

    def model(self) -> Built:
        """Make the network with its first weights."""
        vocabulary = vocabulary_sizes(self.data, self.run.paths.data, self.run.paths.cache)
        return build_transformer_for(self.network, vocabulary, self.run.seed)

    def task(self, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, Origin]:
        """Load the data and make the task."""
        data = load_translation(self.data, root, self.run.paths.cache)
        task = task_class(self.recipe, Translation)(
            self.recipe,
            self.run.budget,
            data,
            lower_case=self.data.lower_case,
            seed=self.run.seed,
            device=device,
            processes=processes,
        )
        return task, Origin(data.source, data.deviations)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the recipe's optimizer."""
        return adam(self.recipe.optimizer, model)

    def learning_rate(self, total_steps: int, last_update: LastUpdate) -> Rate:
        """Make the recipe's learning rate."""
        rate, length = self.recipe.learning_rate, TranslationLength(self.recipe, self.run.budget)
        if rate.schedule == "noam":
            return noam(rate.factor, self.network.width, length.warmup)
        ramp = min(rate.ramp_steps, length.update_interval)
        return inoam(rate.factor, self.network.width, length.warmup, length.update_interval, last_update, ramp)

    def prepare(self) -> None:
        """Fetch and prepare the data."""
        prepare_translation(self.data, self.run.paths.data, cache=self.run.paths.cache)

    def example_loss(self, model: nn.Module, processes: int) -> Callable[[], Tensor]:
        """Make a forward pass on example data."""
        pairs = max(1, self.recipe.batch_tokens // EXAMPLE_TOKENS)
        tokens_BT = torch.ones(-(-pairs // processes), EXAMPLE_TOKENS, dtype=torch.long)
        return lambda: smoothed_loss_sum(model(tokens_BT, tokens_BT), tokens_BT, 0, self.recipe.smoothing)[0]
