"""The families of experiments: which descriptions belong together. `chtexp.build` puts a run of each together."""

from __future__ import annotations

from dataclasses import dataclass

from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig
from chtexp.config.models import LlamaConfig, MLPConfig, TransformerConfig
from chtexp.config.text import LanguageModellingRecipe, TextDataConfig
from chtexp.config.translation import TranslationDataConfig, TranslationRecipe
from chtexp.errors import unknown

Data = ImageDataConfig | TranslationDataConfig | TextDataConfig
Model = MLPConfig | TransformerConfig | LlamaConfig
Recipe = ImageClassificationRecipe | TranslationRecipe | LanguageModellingRecipe


@dataclass(frozen=True)
class Family:
    """A kind of experiment.

    Attributes:
        data: the name of its data's kind (`data.family`).
        data_type: the description of its data.
        model: the name of its network (`model.name`).
        model_type: the description of its network.
        task: the name of its task (`task.name`).
        recipe_type: the description of its task.
        methods: the folder of conf/method whose methods are made for it; "" for conf/method itself.
        features: whether its inputs are numbers that can be correlated, which some topologies ask for.
    """

    data: str
    data_type: type[Data]
    model: str
    model_type: type[Model]
    task: str
    recipe_type: type[Recipe]
    methods: str
    features: bool


FAMILIES = (
    Family(
        data="images",
        data_type=ImageDataConfig,
        model="mlp",
        model_type=MLPConfig,
        task="image_classification",
        recipe_type=ImageClassificationRecipe,
        methods="",
        features=True,
    ),
    Family(
        data="translation",
        data_type=TranslationDataConfig,
        model="transformer",
        model_type=TransformerConfig,
        task="translation",
        recipe_type=TranslationRecipe,
        methods="transformer",
        features=False,
    ),
    Family(
        data="text",
        data_type=TextDataConfig,
        model="llama",
        model_type=LlamaConfig,
        task="language_modelling",
        recipe_type=LanguageModellingRecipe,
        methods="llama",
        features=False,
    ),
)


def family_of_task(name: object) -> Family:
    """Find the family of a task.

    Args:
        name: of the task.

    Raises:
        UserError: no family has such a task; the message names the tasks.
    """
    for family in FAMILIES:
        if family.task == name:
            return family
    raise unknown("task", name, [family.task for family in FAMILIES])
