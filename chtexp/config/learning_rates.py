"""The learning rates of the recipes, described; `chtexp.train.learning_rate` computes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from chtexp.config.optimizers import Share
from chtexp.config.typed import Description
from chtexp.errors import UserError

RAMP_STEPS = 20


class LearningRate(Description):
    """A learning rate that falls linearly, then stays constant.

    Attributes:
        schedule: `linear`.
        start: at the first step.
        end: at the fraction `until` of training, and from then on.
        until: fraction of training, in (0, 1] [choice: 0.9].
    """

    schedule: Literal["linear"] = "linear"
    start: PositiveFloat = 0.025
    end: NonNegativeFloat = 2.5e-4
    until: Annotated[float, Field(gt=0, le=1)] = 0.9


class StepDecay(Description):
    """A learning rate that is constant, and falls by a factor at some moments, as CNNs are trained (He et al., 2016).

    Attributes:
        schedule: `steps`.
        start: at the first step.
        factor: by which it is multiplied at every moment.
        at: the moments, as fractions of training, ascending.
    """

    schedule: Literal["steps"] = "steps"
    start: PositiveFloat = 0.1
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)

    @model_validator(mode="after")
    def _ascending(self) -> StepDecay:
        if list(self.at) != sorted(set(self.at)):
            raise UserError(f"at must be ascending fractions of training, not {list(self.at)}")
        return self


class Ramps(Description):
    """A learning rate that rises anew after every topology update, as the recipes of Transformers have it.

    Attributes:
        schedule: it has ramps if its name begins with `inoam`.
        ramp_steps: optimizer steps of one ramp; a schedule without ramps takes none.
    """

    schedule: str
    ramp_steps: PositiveInt = RAMP_STEPS

    @model_validator(mode="after")
    def _ramps_are_asked_for_where_there_are_some(self) -> Ramps:
        if self.ramp_steps != RAMP_STEPS and not self.schedule.startswith("inoam"):
            raise UserError(
                f"ramp_steps is of schedules with ramps, and {self.schedule} has none: leave it out, or take "
                f"schedule={'inoam' if self.schedule == 'noam' else f'inoam_{self.schedule}'}"
            )
        return self


class InverseRoot(Ramps):
    """A learning rate that falls with the inverse square root of the step after a warm-up.

    `noam`: factor * width^-0.5 * min(n^-0.5, n * warmup^-1.5) at step n. `inoam`: that, times a ramp of `ramp_steps` after every
    topology update; without updates the two are one.

    Attributes:
        schedule: `noam` or `inoam`.
        factor: see above.
        warmup: optimizer steps at the full budget.
    """

    schedule: Literal["noam", "inoam"] = "inoam"
    factor: PositiveFloat
    warmup: PositiveInt


class WarmUpCosine(Ramps):
    """A learning rate that rises linearly, then falls along half a cosine.

    Attributes:
        schedule: `inoam_cosine` multiplies the learning rate with a ramp of `ramp_steps` after every topology update; `cosine`
            does not.
        peak: the highest learning rate.
        warmup: optimizer steps up to the peak, at the full budget.
        floor: the last learning rate as a share of the peak [choice].
    """

    schedule: Literal["cosine", "inoam_cosine"] = "inoam_cosine"
    peak: PositiveFloat
    warmup: PositiveInt
    floor: Share = 0.1
