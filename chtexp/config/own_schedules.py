"""Density schedules of plug-ins: a function of the step, checked to fall from the initial to the final density."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from chtexp.config.plugged import Registered
from chtexp.errors import UserError

LOOKED_AT = 1000  # updates, evenly over the training
ROUNDING = 1e-9


class OwnSchedule:
    """A registered schedule over one training; the density changes at topology updates only.

    Args:
        registered: the function; it returns the density after `step` completed steps, in (0, 1].
        parameters: that the configuration sets.
        initial: density at the start, in (0, 1]; None where the schedule starts by itself.
        final: density at the end, in (0, 1].
        total: optimizer steps of the training.
        interval: optimizer steps between topology updates.

    Raises:
        UserError: the density rises, leaves (0, 1], or does not end as the method's sparsity asks.
    """

    def __init__(
        self,
        registered: Registered,
        parameters: Mapping[str, object],
        *,
        initial: float | None,
        final: float,
        total: int,
        interval: int,
    ) -> None:
        self._registered, self._parameters = registered, parameters
        self._asked = {"initial": initial, "final": final, "total": total, "interval": interval}
        last = (total - 1) // interval
        looked_at = sorted({last * part // LOOKED_AT for part in range(LOOKED_AT + 1)} | {0, last})
        densities = [self(update * interval) for update in looked_at]
        pairs = zip(densities, densities[1:], looked_at[1:], strict=False)
        if rise := next((update for before, after, update in pairs if after > before + ROUNDING), None):
            raise UserError(f"{registered.title} rises at step {rise * interval}: a density must fall or stay")
        if abs(densities[-1] - final) > ROUNDING:
            raise UserError(
                f"{registered.title} ends at {densities[-1]:g}, at the last update (step {last * interval} of {total}): it must "
                f"end at {final:g}, which is 1 - method.sparsity"
            )
        low, high = 0, last  # of updates; from `high` on the density is the final one
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if abs(self(middle * interval) - final) <= ROUNDING else (middle + 1, high)
        self.end_step = high * interval

    def __call__(self, step: int) -> float:
        """Return the density after `step` completed steps."""
        values = {"step": step, **self._asked}
        density = self._registered.call(self._parameters, {name: partial(values.get, name) for name in values})
        if not isinstance(density, int | float) or not 0 < density <= 1:
            raise UserError(
                f"{self._registered.title} gives the density {density!r} at step {step}: it must be in (0, 1]"
            )
        return float(density)
