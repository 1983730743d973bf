"""How much of the paper's training is done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from chtexp.config.typed import Description


class Budget(Description):
    """How much of the paper's training is done.

    Attributes:
        name: as chosen, e.g. `cpu`.
        fraction: of the paper's length, in (0, 1].
        train_limit: at most so many training items of the task's own kind (images, sentence pairs, documents); None: all.
        test_limit: at most so many test items; None: all.
    """

    name: str
    fraction: Annotated[float, Field(gt=0, le=1)]
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None

    def of(self, length: int) -> int:
        """What becomes of a length that is given at the full budget.

        Args:
            length: in steps or epochs.

        Returns:
            `length` times `fraction`, rounded, in the same unit; at least 1.
        """
        return max(1, round(length * self.fraction))

    def said(self, key: str, length: int) -> str:
        """Describe in words what becomes of a length: `task.steps=20 at budget=smoke is 1 step`.

        Args:
            key: where the length is set; its last part names the unit.
            length: at the full budget, in that unit.
        """
        left, unit = self.of(length), key.rpartition(".")[2]
        return f"{key}={length} at budget={self.name} is {left} {unit.removesuffix('s') if left == 1 else unit}"
