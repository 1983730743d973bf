"""Learning rates as functions of the step: nothing to save, nothing to resume.

Steps count from 0, so the n-th step is step n - 1, and the topology update after n steps comes before step n.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Rate = Callable[[int], float]
LastUpdate = Callable[[], int]  # no topology update comes after so many steps, as far as is known now


def linear(start: float, end: float, until: float, total_steps: int) -> Rate:
    """From `start` at step 0 to `end` at the fraction `until` of `total_steps`, then constant."""
    last = until * total_steps

    def rate(step: int) -> float:
        return start + (end - start) * min(step / last, 1.0)

    return rate


def noam(factor: float, width: int, warmup: int) -> Rate:
    """factor * width^-0.5 * min(n^-0.5, n * warmup^-1.5) at the n-th step (Vaswani et al. 2017).

    Grows linearly to factor / sqrt(width * warmup) at the `warmup`-th step, then falls with the square root of n.
    """

    def rate(step: int) -> float:
        n = step + 1
        return factor * width**-0.5 * min(n**-0.5, n * warmup**-1.5)

    return rate


def warmup_cosine(peak: float, warmup: int, total_steps: int, floor: float = 0.1) -> Rate:
    """Linear to `peak` at the `warmup`-th step, then half a cosine to `floor` * `peak` at the last step.

    The paper names warm-up and decay for LLaMA; cosine, to 10%, is our [choice].
    """

    def rate(step: int) -> float:
        n = step + 1
        if n <= warmup:
            return peak * n / warmup
        progress = min((n - warmup) / (total_steps - warmup), 1.0)
        return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)

    return rate


def ramped(rate: Rate, update_interval: int, last_update: LastUpdate, ramp_steps: int = 20, after: int = 0) -> Rate:
    """`rate` times a linear ramp over the first `ramp_steps` steps after every topology update, so that new links gather
    momentum before they move far (arXiv:2501.19107, translation and LLaMA experiments).

    The n-th of these steps has n / ramp_steps of the rate, for it is no step without learning [choice: the paper says
    from 0 to 1]. Updates come after every `update_interval` steps, the last one after `last_update()` steps or before (0:
    none, the rate is as it was); it is asked anew at every step, since a topology may stop early. Updates before `after`
    steps, the warm-up, have no ramp.
    """

    def ramped_rate(step: int) -> float:
        newest = min(step, last_update()) // update_interval * update_interval
        if newest == 0 or newest < after:
            return rate(step)
        return rate(step) * min((step - newest + 1) / ramp_steps, 1.0)

    return ramped_rate


def inoam(
    factor: float, width: int, warmup: int, update_interval: int, last_update: LastUpdate, ramp_steps: int = 20
) -> Rate:
    """`noam` with a ramp after every topology update from the end of the warm-up on (arXiv:2501.19107)."""
    return ramped(noam(factor, width, warmup), update_interval, last_update, ramp_steps, after=warmup)
