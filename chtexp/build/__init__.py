"""From a run's description to its parts, and to a training that can begin: one builder for each family of experiments."""

from __future__ import annotations

from chtexp.build.builder import Builder
from chtexp.build.images import ImageBuilder
from chtexp.build.text import TextBuilder
from chtexp.build.translation import TranslationBuilder
from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig
from chtexp.config.models import ImageNetwork, LlamaConfig, TransformerConfig
from chtexp.config.run import Run
from chtexp.config.text import LanguageModellingRecipe, TextDataConfig
from chtexp.config.translation import TranslationDataConfig, TranslationRecipe

__all__ = ["Builder", "builder_of"]


def builder_of(run: Run) -> Builder:
    """Choose the builder that makes the parts of a run.

    Args:
        run: the run.

    Returns:
        The builder of its family: images, translation or text.

    Raises:
        TypeError: data, model and task are of different families.
    """
    match run.data, run.model, run.task:
        case ImageDataConfig() as data, ImageNetwork() as network, ImageClassificationRecipe() as recipe:
            return ImageBuilder(run, data, network, recipe)
        case TranslationDataConfig() as data, TransformerConfig() as network, TranslationRecipe() as recipe:
            return TranslationBuilder(run, data, network, recipe)
        case TextDataConfig() as data, LlamaConfig() as network, LanguageModellingRecipe() as recipe:
            return TextBuilder(run, data, network, recipe)
    raise TypeError(f"no family has {run.data.family} data, a {run.model.name} and the task {run.task.name}")
