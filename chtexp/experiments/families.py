"""The families of experiments: which descriptions belong together, and how a run of each is put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from chtexp.data import load_images, prepare_images
from chtexp.data.text import TextDataConfig, load_text, prepare_text
from chtexp.data.text import vocabulary_size as text_vocabulary_size
from chtexp.data.translation import (
    TranslationDataConfig,
    load_translation,
    prepare_translation,
    vocabulary_sizes,
)
from chtexp.models import MLPConfig
from chtexp.models.llama import LlamaConfig
from chtexp.models.transformer import TransformerConfig
from chtexp.processes import ALONE, Processes
from chtexp.sparse import Method
from chtexp.tasks import Budget, Built, ImageClassification, ImageClassificationRecipe, ImageDataConfig, Task
from chtexp.tasks.image_classification import ImageLength, build_mlp
from chtexp.tasks.language_modelling import (
    LanguageModelling,
    LanguageModellingLength,
    LanguageModellingRecipe,
    build_llama_for,
)
from chtexp.tasks.smoothed_loss import smoothed_loss_sum
from chtexp.tasks.translation import Translation, TranslationLength, TranslationRecipe, build_transformer_for
from chtexp.train.learning_rate import LastUpdate, Rate, inoam, linear, noam, ramped, warmup_cosine
from chtexp.typed import Description

EXAMPLE_TOKENS = 32  # of an example sentence


class Length(Protocol):
    """How long a training is, known before any data is read. said: what the budget makes of what was asked for, in words."""

    said: str
    total_steps: int
    update_interval: int

    def positions(self, step: int) -> int:
        """Positions (images, tokens) that the first `step` steps process."""


class Parts(Protocol):
    """What a family needs to know of a run."""

    data: Any
    model: Any
    task: Any
    method: Method
    budget: Budget
    paths: Any
    seed: int


class BuildTask(Protocol):
    """Makes a run's task, and says where its data come from."""

    def __call__(
        self, run: Parts, root: Path | None, device: torch.device, processes: Processes = ALONE
    ) -> tuple[Task, str]: ...


@dataclass(frozen=True)
class Family:
    """recipe, data, model: the descriptions. The functions make what their names say from a run's descriptions.

    methods: the folder of conf/method whose methods are made for it; "" for conf/method itself. features: whether its inputs are
    numbers that can be correlated, which some topologies ask for.
    example_loss: of as much data as one forward pass of one of so many processes takes in, of the right shapes, on torch's
    default device.
    """

    recipe: type[Description]
    data: type[Description]
    model: type[Description]
    methods: str
    features: bool
    length: Callable[[Parts], Length]
    build_model: Callable[[Parts], Built]
    build_task: BuildTask
    build_optimizer: Callable[[Any, torch.nn.Module], torch.optim.Optimizer]
    learning_rate: Callable[[Parts, int, LastUpdate], Rate]
    prepare: Callable[[Parts], None]
    example_loss: Callable[[Parts, torch.nn.Module, int], Callable[[], Tensor]]


def _image_task(run: Parts, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, str]:
    images = load_images(run.data.name, root)
    task = ImageClassification(
        run.task, run.data, run.budget, images, seed=run.seed, device=device, processes=processes
    )
    return task, images.source


def _sgd(recipe: ImageClassificationRecipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    settings = recipe.optimizer
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate.start,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _linear_rate(run: Parts, total_steps: int, last_update: LastUpdate) -> Rate:
    rate = run.task.learning_rate
    return linear(rate.start, rate.end, rate.until, total_steps)


def _translation_task(
    run: Parts, root: Path | None, device: torch.device, processes: Processes = ALONE
) -> tuple[Task, str]:
    data = load_translation(run.data, root, run.paths.cache)
    task = Translation(
        run.task,
        run.budget,
        data,
        lower_case=run.data.lower_case,
        seed=run.seed,
        device=device,
        processes=processes,
    )
    return task, data.source


def _transformer(run: Parts) -> Built:
    vocabulary = vocabulary_sizes(run.data, run.paths.data, run.paths.cache)
    return build_transformer_for(run.model, vocabulary, run.seed)


def _text_task(run: Parts, root: Path | None, device: torch.device, processes: Processes = ALONE) -> tuple[Task, str]:
    data = load_text(run.data, root, run.paths.cache)
    task = LanguageModelling(
        run.task,
        run.budget,
        data,
        sequence_length=run.data.sequence_length,
        seed=run.seed,
        device=device,
        processes=processes,
    )
    return task, data.source


def _llama(run: Parts) -> Built:
    vocabulary = text_vocabulary_size(run.data, run.paths.data, run.paths.cache)
    return build_llama_for(run.model, vocabulary, run.data.sequence_length, run.seed)


def _text_length(run: Parts) -> LanguageModellingLength:
    return LanguageModellingLength(run.task, run.budget, run.data.sequence_length)


def _cosine_rate(run: Parts, total_steps: int, last_update: LastUpdate) -> Rate:
    rate, length = run.task.learning_rate, _text_length(run)
    plain = warmup_cosine(rate.peak, length.warmup, total_steps, rate.floor)
    if rate.schedule == "cosine":
        return plain
    ramp = min(rate.ramp_steps, length.update_interval)
    return ramped(plain, length.update_interval, last_update, ramp, after=length.warmup)


def _prepare_text(run: Parts) -> None:
    prepare_text(run.data, run.paths.data, cache=run.paths.cache)


def _adam(recipe: TranslationRecipe | LanguageModellingRecipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    settings = recipe.optimizer
    return torch.optim.Adam(
        model.parameters(), betas=(settings.beta1, settings.beta2), eps=settings.epsilon, fused=True
    )


def _inverse_root_rate(run: Parts, total_steps: int, last_update: LastUpdate) -> Rate:
    rate, length = run.task.learning_rate, TranslationLength(run.task, run.budget)
    if rate.schedule == "noam":
        return noam(rate.factor, run.model.width, length.warmup)
    ramp = min(rate.ramp_steps, length.update_interval)
    return inoam(rate.factor, run.model.width, length.warmup, length.update_interval, last_update, ramp)


def _example_of_images(run: Parts, model: torch.nn.Module, processes: int) -> Callable[[], Tensor]:
    mine = -(-run.task.batch_size // processes)
    images = torch.zeros(mine, *run.data.shape)
    labels = torch.zeros(mine, dtype=torch.long)
    return lambda: cross_entropy(model(images), labels)


def _example_of_pairs(run: Parts, model: torch.nn.Module, processes: int) -> Callable[[], Tensor]:
    pairs = max(1, run.task.batch_tokens // EXAMPLE_TOKENS)
    tokens = torch.ones(-(-pairs // processes), EXAMPLE_TOKENS, dtype=torch.long)
    return lambda: smoothed_loss_sum(model(tokens, tokens), tokens, 0, run.task.smoothing)[0]


def _example_of_text(run: Parts, model: torch.nn.Module, processes: int) -> Callable[[], Tensor]:
    tokens = torch.zeros(
        min(run.task.at_once, -(-run.task.batch // processes)), run.data.sequence_length + 1, dtype=torch.long
    )
    return lambda: cross_entropy(model(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())


def _prepare_images(run: Parts) -> None:
    prepare_images(run.data.name, run.paths.data)


def _prepare_translation(run: Parts) -> None:
    prepare_translation(run.data, run.paths.data, cache=run.paths.cache)


FAMILIES: dict[str, Family] = {
    "image_classification": Family(
        recipe=ImageClassificationRecipe,
        data=ImageDataConfig,
        model=MLPConfig,
        methods="",
        features=True,
        length=lambda run: ImageLength(run.task, run.data, run.budget),
        build_model=lambda run: build_mlp(run.model, run.data, run.seed),
        build_task=_image_task,
        build_optimizer=_sgd,
        learning_rate=_linear_rate,
        prepare=_prepare_images,
        example_loss=_example_of_images,
    ),
    "translation": Family(
        recipe=TranslationRecipe,
        data=TranslationDataConfig,
        model=TransformerConfig,
        methods="transformer",
        features=False,
        length=lambda run: TranslationLength(run.task, run.budget),
        build_model=_transformer,
        build_task=_translation_task,
        build_optimizer=_adam,
        learning_rate=_inverse_root_rate,
        prepare=_prepare_translation,
        example_loss=_example_of_pairs,
    ),
    "language_modelling": Family(
        recipe=LanguageModellingRecipe,
        data=TextDataConfig,
        model=LlamaConfig,
        methods="llama",
        features=False,
        length=_text_length,
        build_model=_llama,
        build_task=_text_task,
        build_optimizer=_adam,
        learning_rate=_cosine_rate,
        prepare=_prepare_text,
        example_loss=_example_of_text,
    ),
}
