"""What is learned: batches, loss, evaluation and metric of each family of experiments."""

from importlib import import_module
from typing import TYPE_CHECKING

from chtexp.tasks.base import Built, Task, Tested
from chtexp.tasks.image_classification import ImageClassification
from chtexp.tasks.selection import Selection

if TYPE_CHECKING:
    from chtexp.tasks.language_modelling import LanguageModelling
    from chtexp.tasks.translation import Translation

__all__ = ["Built", "ImageClassification", "LanguageModelling", "Selection", "Task", "Tested", "Translation"]

_LATER = {"LanguageModelling": "language_modelling", "Translation": "translation"}  # load what images do without


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(f"chtexp.tasks.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
