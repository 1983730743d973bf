"""What is learned: batches, loss, evaluation and metric of each family of experiments."""

from chtexp.tasks.base import Built, Task, Tested
from chtexp.tasks.image_classification import ImageClassification
from chtexp.tasks.selection import Selection

__all__ = ["Built", "ImageClassification", "Selection", "Task", "Tested"]
