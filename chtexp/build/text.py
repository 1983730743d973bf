"""The parts of a run of language modelling.

Shapes: B sequences, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chtexp.build.builder import adam, task_class
from chtexp.config.models import LlamaConfig
from chtexp.config.run import Run
from chtexp.config.text import LanguageModellingLength, LanguageModellingRecipe, TextDataConfig
from chtexp.data import Origin
from chtexp.data.text import load_text, prepare_text, vocabulary_size
from chtexp.distributed.group import ALONE, Processes
from chtexp.tasks import Built, Task
from chtexp.tasks.language_modelling import LanguageModelling, build_llama_for
from chtexp.train.learning_rate import LastUpdate, Rate, ramped, warmup_cosine


@dataclass(frozen=True)
class TextBuilder:
    """Builds runs of language modelling; see `Builder`."""

    run: Run
    data: TextDataConfig
    network: LlamaConfig
    recipe: LanguageModellingRecipe

    def model(self) -> Built:
        """Make the network with its first weights."""
        vocabulary = vocabulary_size(self.data, self.run.paths.data, self.run.paths.cache)
        return build_llama_for(self.network, vocabulary, self.data.sequence_length, self.run.seed)

    def task(self, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, Origin]:
        """Load the data and make the task."""
        data = load_text(self.data, root, self.run.paths.cache)
        task = task_class(self.recipe, LanguageModelling)(
            self.recipe,
            self.run.budget,
            data,
            sequence_length=self.data.sequence_length,
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
        rate = self.recipe.learning_rate
        length = LanguageModellingLength(self.recipe, self.run.budget, self.data.sequence_length)
        plain = warmup_cosine(rate.peak, length.warmup, total_steps, rate.floor)
        if rate.schedule == "cosine":
            return plain
        ramp = min(rate.ramp_steps, length.update_interval)
        return ramped(plain, length.update_interval, last_update, ramp, after=length.warmup)

    def prepare(self) -> None:
        """Fetch and prepare the data."""
        prepare_text(self.data, self.run.paths.data, cache=self.run.paths.cache)

    def example_loss(self, model: nn.Module, processes: int) -> Callable[[], Tensor]:
        """Make a forward pass on example data."""
        sequences = min(self.recipe.at_once, -(-self.recipe.batch // processes))
        tokens_BT = torch.zeros(sequences, self.data.sequence_length + 1, dtype=torch.long)
        return lambda: cross_entropy(model(tokens_BT[:, :-1]).flatten(0, 1).float(), tokens_BT[:, 1:].flatten())
