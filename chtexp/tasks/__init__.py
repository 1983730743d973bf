"""What is learned: batches, loss, evaluation and metric of each family of experiments."""

from chtexp.tasks.base import Budget, Built, Task, Tested
from chtexp.tasks.image_classification import ImageClassification, ImageClassificationRecipe, ImageDataConfig

__all__ = ["Budget", "Built", "ImageClassification", "ImageClassificationRecipe", "ImageDataConfig", "Task", "Tested"]
