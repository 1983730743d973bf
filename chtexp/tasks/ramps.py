"""Learning rates that rise anew after every topology update, as the recipes of Transformers have them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from chtexp.errors import UserError
from chtexp.typed import Description

RAMP_STEPS = 20


class Ramps(Description):
    """schedule: with ramps if its name begins with `inoam`. ramp_steps: of one ramp; a schedule without any takes none."""

    schedule: str
    ramp_steps: Annotated[int, Field(ge=1)] = RAMP_STEPS

    @model_validator(mode="after")
    def _ramps_are_asked_for_where_there_are_some(self) -> Ramps:
        if self.ramp_steps != RAMP_STEPS and not self.schedule.startswith("inoam"):
            raise UserError(
                f"ramp_steps is of schedules with ramps, and {self.schedule} has none: leave it out, or take "
                f"schedule={'inoam' if self.schedule == 'noam' else f'inoam_{self.schedule}'}"
            )
        return self
