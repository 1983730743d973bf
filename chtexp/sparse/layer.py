"""One sparse layer, and the record of one topology update.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class UpdateRecord:
    """What one topology update did. All rates are in [0, 1].

    density: links / pairs after it. anp: active neurons post-percolation. overlap: |removed and regrown| / |regrown|,
    None when nothing was regrown (an epitopological local minimum shows as an overlap near 1). itop: pairs that were
    ever a link / pairs. zeta: the share of links that was to be removed. layers: density and overlap by layer.
    """

    step: int
    density: float
    anp: float
    overlap: float | None
    itop: float
    zeta: float
    layers: dict[str, dict[str, float | bool | None]]


@dataclass(eq=False)
class SparseLayer:
    """One sparse linear map: its weight, and what is known of its links.

    factor_OI: the mask as what gradients are multiplied by in every step: on the CPU in the weight's own type, which is
    four times as fast there as a bool (1.2 against 4.7 ms for the three layers of the MNIST MLP, one core); elsewhere
    the mask itself.
    """

    name: str
    weight: Tensor
    mask_OI: Tensor
    ever_OI: Tensor
    history_OI: Tensor | None
    links: int = 0
    frozen: bool = False
    factor_OI: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.set_mask(self.mask_OI)

    def set_mask(self, mask_OI: Tensor) -> None:
        """Make `mask_OI` the links from now on."""
        self.mask_OI = mask_OI
        self.links = int(mask_OI.sum())
        self.factor_OI = mask_OI.to(self.weight.dtype) if mask_OI.device.type == "cpu" else mask_OI
