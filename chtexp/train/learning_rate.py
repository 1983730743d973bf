"""Learning rates as functions of the step: they have no state to save or to restore.

Steps count from 0, so the n-th step is step n - 1, and the topology update after n steps comes before step n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Rate = Callable[[int], float]
LastUpdate = Callable[[], int]  # the number of steps after which no more topology update comes, as far as is known now


def linear(start: float, end: float, until: float, total_steps: int) -> Rate:
    """Interpolate linearly, then stay constant.

    Args:
        start: the rate at step 0.
        end: the rate from `until` on.
        until: a fraction of `total_steps`.
        total_steps: optimizer steps of the whole training.

    Returns:
        The learning rate as a function of the step.
    """
    last = until * total_steps

    def rate(step: int) -> float:
        return start + (end - start) * min(step / last, 1.0)

    return rate


def steps(start: float, factor: float, at: Sequence[float], total_steps: int) -> Rate:
    """Stay constant, and fall by a factor at some moments.

    Args:
        start: the rate at step 0.
        factor: by which the rate is multiplied at every moment.
        at: the moments, as fractions of `total_steps`.
        total_steps: optimizer steps of the whole training.

    Returns:
        The learning rate as a function of the step.
    """
    moments = [fraction * total_steps for fraction in at]

    def rate(step: int) -> float:
        return start * factor ** sum(step >= moment for moment in moments)

    return rate


def noam(factor: float, width: int, warmup: int) -> Rate:
    """Warm up linearly, then decay with the square root of the step (Vaswani et al. 2017).

    The rate of the n-th step is factor * width^-0.5 * min(n^-0.5, n * warmup^-1.5). Its maximum is
    factor / sqrt(width * warmup), at the `warmup`-th step.

    Args:
        factor: scales the rate.
        width: the model's width.
        warmup: steps of the warm-up.

    Returns:
        The learning rate as a function of the step.
    """

    def rate(step: int) -> float:
        n = step + 1
        at_n: float = factor * width**-0.5 * min(n**-0.5, n * warmup**-1.5)
        return at_n

    return rate


def warmup_cosine(peak: float, warmup: int, total_steps: int, floor: float = 0.1) -> Rate:
    """Warm up linearly, then decay by half a cosine.

    The paper names warm-up and decay for LLaMA; cosine, to 10%, is our [choice].

    Args:
        peak: the rate of the `warmup`-th step.
        warmup: steps of the warm-up.
        total_steps: optimizer steps of the whole training.
        floor: the rate of the last step, as a fraction of `peak`.

    Returns:
        The learning rate as a function of the step.
    """

    def rate(step: int) -> float:
        n = step + 1
        if n <= warmup:
            return peak * n / warmup
        progress = min((n - warmup) / (total_steps - warmup), 1.0)
        return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)

    return rate


def ramped(rate: Rate, update_interval: int, last_update: LastUpdate, ramp_steps: int = 20, after: int = 0) -> Rate:
    """Ramp a rate up after every topology update, so that new links gather momentum before they move far.

    The ramp is that of the translation and LLaMA experiments (arXiv:2501.19107). The n-th step after an update has
    n / ramp_steps of the rate, so that every step learns [choice: the paper says from 0 to 1].

    Args:
        rate: the rate without ramps.
        update_interval: optimizer steps between two topology updates.
        last_update: returns the number of steps after which no more update comes (0: none comes at all). It is called at
            every step, since a topology may stop early.
        ramp_steps: the length of a ramp, in steps.
        after: updates before this many steps, the warm-up, have no ramp.

    Returns:
        The learning rate as a function of the step.
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
    """Combine `noam` with a ramp after every topology update from the end of the warm-up on (arXiv:2501.19107).

    Args:
        factor: scales the rate.
        width: the model's width.
        warmup: steps of the warm-up.
        update_interval: optimizer steps between two topology updates.
        last_update: see `ramped`.
        ramp_steps: the length of a ramp, in steps.

    Returns:
        The learning rate as a function of the step.
    """
    return ramped(noam(factor, width, warmup), update_interval, last_update, ramp_steps, after=warmup)
