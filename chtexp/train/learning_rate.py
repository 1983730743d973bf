"""Learning rates as pure functions of the step: nothing to save, nothing to resume."""

from __future__ import annotations

from collections.abc import Callable


def linear(start: float, end: float, until: float, total_steps: int) -> Callable[[int], float]:
    """From `start` at step 0 to `end` at the fraction `until` of `total_steps`, then constant."""
    last = until * total_steps

    def rate(step: int) -> float:
        return start + (end - start) * min(step / last, 1.0)

    return rate
