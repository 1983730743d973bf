"""The families of experiments: which descriptions belong together. `chtexp.build` puts a run of each together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig
from chtexp.config.models import LlamaConfig, MLPConfig, ResNetConfig, TransformerConfig, VGGConfig
from chtexp.config.own_parts import OwnNetwork
from chtexp.config.plugged import PLUGGED
from chtexp.config.text import LanguageModellingRecipe, TextDataConfig
from chtexp.config.translation import TranslationDataConfig, TranslationRecipe

Data = ImageDataConfig | TranslationDataConfig | TextDataConfig
Model = MLPConfig | ResNetConfig | VGGConfig | OwnNetwork | TransformerConfig | LlamaConfig
Recipe = ImageClassificationRecipe | TranslationRecipe | LanguageModellingRecipe


@dataclass(frozen=True)
class Family:
    """A kind of experiment.

    Attributes:
        data: the name of its data's kind (`data.family`).
        data_type: the description of its data.
        models: the descriptions of its networks, by name (`model.name`).
        task: the name of its task (`task.name`).
        recipe_type: the description of its task.
    """

    data: str
    data_type: type[Data]
    models: Mapping[str, type[Model]]
    task: str
    recipe_type: type[Recipe]


FAMILIES = (
    Family(
        data="images",
        data_type=ImageDataConfig,
        models=MappingProxyType({"mlp": MLPConfig, "resnet": ResNetConfig, "vgg": VGGConfig}),
        task="image_classification",
        recipe_type=ImageClassificationRecipe,
    ),
    Family(
        data="translation",
        data_type=TranslationDataConfig,
        models=MappingProxyType({"transformer": TransformerConfig}),
        task="translation",
        recipe_type=TranslationRecipe,
    ),
    Family(
        data="text",
        data_type=TextDataConfig,
        models=MappingProxyType({"llama": LlamaConfig}),
        task="language_modelling",
        recipe_type=LanguageModellingRecipe,
    ),
)


def family_of_task(name: object) -> Family:
    """Find the family of a task; a plug-in's is of the family of the task that it extends.

    Args:
        name: of the task.

    Raises:
        UserError: no family has such a task; the message names the tasks.
    """
    for family in FAMILIES:
        if name == family.task:
            return family
    if own := PLUGGED.get("task", str(name)):
        return next(family for family in FAMILIES if family.data == own.family)
    raise PLUGGED.unknown("task", "task", name)
