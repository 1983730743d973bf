"""How density, zeta and delta move over training: plain functions of the step.

`density_schedule` follows arXiv:2501.19107 (sigmoid decay, CHTss), Zhu & Gupta 2017 (cubic) and MEST_EM&S (Yuan et al.,
2021). Steps count completed optimizer steps; densities are shares of links in (0, 1].
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chtexp.config.own_schedules import OwnSchedule
from chtexp.config.plugged import PLUGGED
from chtexp.errors import UserError, unknown


class TooShort(UserError):
    """A training has no topology update at which its density could fall."""


@dataclass(frozen=True)
class DensitySchedule:
    """The density over a training: `schedule(step)`.

    Attributes:
        kind: one of SCHEDULES, or a plug-in's.
        final: the density from `end_step` on, in (0, 1].
        end_step: completed optimizer steps.
        at: the density after a number of completed steps.
        core: the density that every update of an elastic schedule prunes down to, before it grows back to that of the step,
            whatever zeta is. None: the schedule is not elastic.
    """

    kind: str
    final: float
    end_step: int
    at: Callable[[int], float]
    core: float | None = None

    def __call__(self, step: int) -> float:
        """The wanted density after `step` completed optimizer steps, in (0, 1]."""
        return self.at(step)

    def mean(self, total: int, interval: int) -> float:
        """The mean density over a training in which it changes at topology updates only: the density integral.

        Args:
            total: optimizer steps of the training.
            interval: optimizer steps between updates.
        """
        spans = [(step, min(interval, total - step)) for step in range(0, total, interval)]
        return sum(self(step) * length for step, length in spans) / total


def fixed(*, initial: float | None, final: float, total: int, interval: int) -> DensitySchedule:
    """The final density throughout."""
    return DensitySchedule("fixed", final, 0, lambda step: final)


def cubic(
    *, initial: float | None, final: float, total: int, interval: int, start: float = 0.0, end: float = 0.8
) -> DensitySchedule:
    """Cubic decay of the density (Zhu & Gupta, 2017): s = s_f + (s_i - s_f) (1 - p)^3, the same in densities.

    Args:
        initial: density at the start, in (0, 1].
        final: density at the end, in (0, 1].
        total: optimizer steps of the training.
        interval: optimizer steps between topology updates.
        start, end: of the decay, as fractions of training.

    Raises:
        UserError: no initial density, one below the final one, or a training without an update in the decay.
    """
    initial = _initial("cubic", initial, final)
    first, last = _span(start, end, total, interval)

    def density(step: int) -> float:
        return final + (initial - final) * (1 - _progress(step, first, last)) ** 3

    return DensitySchedule("cubic", final, last, density)


def sigmoid(
    *,
    initial: float | None,
    final: float,
    total: int,
    interval: int,
    start: float = 0.0,
    end: float = 0.8,
    k: float = 6.0,
    match_flops: bool = False,
) -> DensitySchedule:
    """Sigmoid decay of the density: s = s_i + (s_f - s_i) sigma(k (2p - 1)), rescaled to be s_i at p = 0 and s_f at p = 1.

    Args:
        initial: density at the start, in (0, 1].
        final: density at the end, in (0, 1].
        total: optimizer steps of the training.
        interval: optimizer steps between topology updates.
        start, end: of the decay, as fractions of training.
        k: steepness, above 0.
        match_flops: whether it ends at half the cubic schedule's steps. The sigmoid's mean lies midway between its ends, the
            cubic's a quarter of the way above its final density: at half the steps the two integrals, and so the training FLOPs,
            agree.

    Raises:
        UserError: as `cubic`, and k that is not above 0.
    """
    initial = _initial("sigmoid", initial, final)
    if k <= 0:
        raise UserError(f"the sigmoid's k must be above 0, not {k}")
    first, last = _span(start, start + (end - start) / 2 if match_flops else end, total, interval)
    low, high = _sigma(-k), _sigma(k)

    def density(step: int) -> float:
        p = _progress(step, first, last)
        if p in (0.0, 1.0):
            return final if p else initial
        return initial + (final - initial) * (_sigma(k * (2 * p - 1)) - low) / (high - low)

    return DensitySchedule("sigmoid", final, last, density)


def em_s(
    *,
    initial: float | None,
    final: float,
    total: int,
    interval: int,
    end: float = 0.75,
    extra_early: float = 0.05,
    extra_late: float = 0.025,
) -> DensitySchedule:
    """MEST's elastic mutation: final + 0.05 until 0.6 of `end`, final + 0.025 until the last update before `end`.

    The extra links are what an update moves: it prunes to `final` and grows back to the density of the step.

    Args:
        initial: not used.
        final: density at the end, in (0, 1].
        total: optimizer steps of the training.
        interval: optimizer steps between topology updates.
        end: of the extra links, as a fraction of training.
        extra_early, extra_late: density of the extra links before and after 0.6 of `end`.
    """
    _, last = _span(0.0, end, total, interval)

    def density(step: int) -> float:
        if step >= last:
            return final
        return min(1.0, final + (extra_early if step < 0.6 * end * total else extra_late))

    return DensitySchedule("em_s", final, last, density, core=final)


SCHEDULES: dict[str, Callable[..., DensitySchedule]] = {
    "fixed": fixed,
    "cubic": cubic,
    "sigmoid": sigmoid,
    "em_s": em_s,
}
WITHOUT_INITIAL = ("fixed", "em_s")  # their first density follows from the last
ELASTIC = ("em_s",)  # what an update moves follows from the density, not from zeta


def density_schedule(
    kind: str,
    *,
    initial: float | None = None,
    final: float,
    total: int,
    interval: int = 1,
    **parameters: object,
) -> DensitySchedule:
    """The density over a training.

    Args:
        kind: `fixed`, `cubic`, `sigmoid`, `em_s`, or the name of a plug-in's schedule.
        initial: density at the start, in (0, 1], for the decays.
        final: density at the end, in (0, 1].
        total: optimizer steps of the training.
        interval: optimizer steps between topology updates. The density can only change there, so the decay ends on one.
        **parameters: `start`, `end` (fractions of training), and `k`, `match_flops` for the sigmoid.

    Raises:
        UserError: an unknown kind or parameter, or a value out of range.
    """
    for name, value in (("initial", initial), ("final", final)):
        if value is not None and not 0 < value <= 1:
            raise UserError(f"the {name} density must be above 0 and at most 1, not {value}")
    if total < 1 or interval < 1:
        raise UserError(f"total and interval must be at least 1 step, not {total} and {interval}")
    if kind not in SCHEDULES:
        return _of_plug_in(kind, parameters, initial=initial, final=final, total=total, interval=interval)
    accepted = [name for name in inspect.signature(SCHEDULES[kind]).parameters if name not in _COMMON]
    for name in parameters:
        if name not in accepted:
            raise UserError(
                f"density schedule '{kind}' has no parameter '{name}'; it takes: {', '.join(accepted) or 'none'}"
            )
    return SCHEDULES[kind](initial=initial, final=final, total=total, interval=interval, **parameters)


def _of_plug_in(
    kind: str, parameters: Mapping[str, object], *, initial: float | None, final: float, total: int, interval: int
) -> DensitySchedule:
    own = PLUGGED.get("density", kind)
    if own is None:
        raise unknown("density schedule", kind, PLUGGED.names("density"))
    schedule = OwnSchedule(own, parameters, initial=initial, final=final, total=total, interval=interval)
    return DensitySchedule(kind, final, schedule.end_step, schedule)


def starts_by_itself(kind: str) -> bool:
    """Tell whether the first density of a schedule follows from the last, so that it takes no initial sparsity."""
    own = PLUGGED.found.get(("density", kind))
    if own is None or own.function is None:
        return kind in WITHOUT_INITIAL
    return "initial" not in own.reads


_COMMON = ("initial", "final", "total", "interval")


def _initial(kind: str, initial: float | None, final: float) -> float:
    if initial is None:
        raise UserError(f"density schedule '{kind}' needs the initial density (density.initial_sparsity of a method)")
    if initial < final:
        raise UserError(
            f"density schedule '{kind}' falls, so the initial sparsity {1 - initial:g} must be below the target {1 - final:g}"
        )
    return initial


def _span(start: float, end: float, total: int, interval: int) -> tuple[int, int]:
    """First and last step of a decay; the last is an update, and steps of training follow it."""
    if not 0 <= start < end <= 1:
        raise UserError(f"a decay needs 0 <= start < end <= 1 (fractions of training), not start {start}, end {end}")
    last_update = (total - 1) // interval * interval
    first, last = step_at(start, total), min(step_at(end, total) // interval * interval, last_update)
    if last <= first:
        often = "step" if interval == 1 else f"{interval} steps"
        raise TooShort(
            f"a falling density needs a topology update after its start, step {first}, and no later than its end, step "
            f"{step_at(end, total)} of {total}; updates come every {often}, so train longer or update more often"
        )
    return first, last


def _progress(step: int, first: int, last: int) -> float:
    return min(max((step - first) / (last - first), 0.0), 1.0)


def _sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def step_at(fraction: float, total: int) -> int:
    """The last whole step within a fraction of a training: 0.29 of 100 is 29, whatever floats make of it.

    Args:
        fraction: of the training.
        total: its optimizer steps.
    """
    return math.floor(fraction * total + 1e-6)


def zeta_at(zeta: float, schedule: str, step: int, end_step: int) -> float:
    """The share of links that an update removes.

    Args:
        zeta: the share at the start, in [0, 1].
        schedule: `constant`, or `cosine`: zeta / 2 (1 + cos(pi step / end_step)) (RigL).
        step: completed optimizer steps.
        end_step: where `cosine` reaches 0.
    """
    if schedule == "constant":
        return zeta
    return zeta / 2 * (1 + math.cos(math.pi * min(step / end_step, 1.0))) if end_step else 0.0


def soft_exponent(schedule: str, start: float, end: float, progress: float) -> float:
    """The exponent e = delta / (1 - delta) of soft removal.

    Args:
        schedule: `exponent` moves e linearly between its values at delta `start` and `end`; `delta` moves delta linearly.
        start, end: delta at the start and at the end, in [0, 1).
        progress: share of the rewiring that is over, in [0, 1].
    """
    if schedule == "exponent":
        first, last = start / (1 - start), end / (1 - end)
        return first + (last - first) * progress
    delta = start + (end - start) * progress
    return delta / (1 - delta)
