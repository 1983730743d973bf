"""The optimizers of the recipes: SGD for MLPs, and Adam for Transformers, without weight decay or clipping."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from chtexp.config.typed import Description

Share = Annotated[float, Field(ge=0, lt=1)]


class Sgd(Description):
    """Stochastic gradient descent with momentum.

    Attributes:
        name: `sgd`.
        momentum: in [0, 1).
        weight_decay: factor of the L2 penalty.
        nesterov: whether the gradient is taken ahead along the momentum.
    """

    name: Literal["sgd"] = "sgd"
    momentum: Share = 0.9
    weight_decay: NonNegativeFloat = 5e-4
    nesterov: bool = Field(default=False, json_schema_extra={"identity": "unless default"})


class Adam(Description):
    """Adam, without weight decay.

    Attributes:
        name: `adam`.
        beta1: of the first moment.
        beta2: of the second moment.
        epsilon: added to the root of the second moment.
    """

    name: Literal["adam"] = "adam"
    beta1: Share
    beta2: Share
    epsilon: PositiveFloat
