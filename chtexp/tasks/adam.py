"""Adam, as the recipes of Transformers have it: the paper names it, without weight decay or clipping."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chtexp.typed import Description

Share = Annotated[float, Field(ge=0, lt=1)]


class Adam(Description):
    """beta1, beta2: of the two moments. epsilon: added to the root of the second."""

    name: Literal["adam"] = "adam"
    beta1: Share
    beta2: Share
    epsilon: Annotated[float, Field(gt=0)]
