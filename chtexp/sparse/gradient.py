"""The gradient of a sparse weight, from the backward pass to the optimizer's step.

Absent links get no gradient: in dense execution it is set to zero as soon as it arrives, before anything clips, scales or sums
it. Where an update reads the gradient of all pairs, it is kept before that, summed over the backward passes of one step.
Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from chtexp.errors import UserError
from chtexp.sparse.cpu.csr import CsrLinear

ROUNDING = 1e-3  # a factor this near to 1 is what sums over processes, in another order, make of 1

if TYPE_CHECKING:
    from chtexp.sparse.layer import SparseLayer


class WeightGradient:
    """The gradient of one layer's weight.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: SparseLayer) -> None:
        self._layer = layer
        self._wanted = False
        self._kept_OI: Tensor | None = None  # of all pairs, in dense execution
        self._seen: tuple[weakref.ref[Tensor], int] | None = None  # a masked gradient, and its version
        self._arrival: RemovableHandle | None = None

    def watch(self) -> None:
        """Be told of every backward pass, as the execution of the layer demands: in csr, of those whose gradient is wanted."""
        self.stop()
        self._kept_OI = self._seen = None
        linear = self._layer.linear
        if isinstance(linear, CsrLinear):
            linear.wants_dense_gradient, linear.dense_gradient_OI, linear.backward_done = self._wanted, None, False
            if not self._wanted:
                return
        mine = weakref.ref(self)

        def arrived(weight: Tensor) -> None:
            if (gradient := mine()) is not None:
                gradient._arrived(weight)

        self._arrival = linear.weight.register_post_accumulate_grad_hook(arrived)

    def stop(self) -> None:
        """Be told of no backward pass."""
        if self._arrival is not None:
            self._arrival.remove()
            self._arrival = None

    def want(self, wanted: bool) -> None:
        """Choose whether the passes before the next step keep the gradient of all pairs; forget what was kept."""
        self._kept_OI = None
        if wanted != self._wanted or wanted:
            self._wanted = wanted
            if isinstance(self._layer.linear, CsrLinear):
                self.watch()

    @torch.no_grad()
    def _arrived(self, weight: Tensor) -> None:
        gradient = weight.grad
        assert gradient is not None
        linear = self._layer.linear
        if isinstance(linear, CsrLinear):
            linear.backward_done = True
            self._note(gradient)
        else:
            self._layer.look_for_strange_steps()
            self._receive(gradient)
            gradient.mul_(self._layer.factor_OI)
            self._note(gradient)

    def _receive(self, gradient_OI: Tensor) -> None:
        """Keep the gradient of all pairs, if it is wanted; that of absent links adds up over the passes since it was cleared."""
        if not self._wanted:
            return
        goes_on = self._kept_OI is not None and self._is(gradient_OI, later=1)
        finite_OI = gradient_OI.nan_to_num()  # what overflowed in half precision is largest
        if goes_on:
            assert self._kept_OI is not None
            self._kept_OI = torch.where(self._layer.mask_OI, finite_OI, self._kept_OI + finite_OI)
        else:
            self._kept_OI = finite_OI

    def unmasked(self) -> Tensor | None:
        """Return the gradient, [O, I], if it is not known to be masked: somebody has set or changed it since it arrived."""
        gradient = self._layer.weight.grad
        if gradient is None or self._layer.execution == "csr" or self._is(gradient):
            return None
        if self._seen is None or self._seen[0]() is not gradient:  # set by hand, and not by a backward pass
            self._receive(gradient)
        return gradient

    def masked(self) -> None:
        """Note that the gradient is masked now."""
        if self._layer.weight.grad is not None:
            self._note(self._layer.weight.grad)

    def _note(self, gradient: Tensor) -> None:
        self._seen = weakref.ref(gradient), gradient._version

    def _is(self, gradient: Tensor, later: int = 0) -> bool:
        """Whether it is the masked gradient, changed so many times since."""
        return self._seen is not None and self._seen[0]() is gradient and gradient._version == self._seen[1] + later

    def of_all_pairs(self, method: str, mean: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the gradient of all pairs, as the backward passes computed it, at the scale of the gradient of the links.

        Gradients may have been clipped, or scaled by a gradient scaler, since they arrived: the kept ones are multiplied by the
        largest factor of any link.

        Args:
            method: the name of the method, for the message.
            mean: averages over the processes that train together; what was kept is this process's own.

        Returns:
            [O, I] float.

        Raises:
            UserError: there is no gradient.
        """
        layer, gradient = self._layer, self._layer.weight.grad
        linear = layer.linear
        kept_OI = linear.dense_gradient_OI if isinstance(linear, CsrLinear) else self._kept_OI
        if gradient is None or kept_OI is None:
            raise UserError(
                f"method '{method}' needs the gradient of layer '{layer.name}', which has none: make the step after "
                "loss.backward(), and see that the layer takes part in the loss"
            )
        kept_OI, links = mean(kept_OI), layer.links
        factor = _factor(links.take(kept_OI), gradient if isinstance(linear, CsrLinear) else links.take(gradient))
        return kept_OI if abs(factor - 1) < ROUNDING else kept_OI * factor


def _factor(before_K: Tensor, after_K: Tensor) -> float:
    """The largest factor by which any gradient was multiplied; 1 where that cannot be told."""
    factors_K = after_K.nan_to_num().abs() / before_K.abs()
    known_K = factors_K[factors_K.isfinite() & (after_K != 0)]
    return float(known_K.max()) if known_K.numel() else 1.0
