"""The gradient of a sparse weight, from the backward pass to the optimizer's step.

Absent links get no gradient: in dense execution it is set to zero as soon as it arrives, before anything clips, scales or sums
it. Where an update reads the gradient of all pairs, it is kept before that, summed over the backward passes of one step.
Shapes: O outputs, I inputs, K links. Gradients have the weight's own shape until an update reads them as a matrix.
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
LARGE = 0.01  # of the largest gradient: smaller ones are changed by rounding alone

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
        self._kept: Tensor | None = None  # of all pairs, in dense execution
        self._masked: tuple[weakref.ref[Tensor], int] | None = None  # a masked gradient, and its version
        self._lost: weakref.ref[Tensor] | None = None  # a masked gradient of which nothing was kept
        self._handles: list[RemovableHandle] = []

    def watch(self) -> None:
        """Be told of every backward pass, as the execution of the layer demands; forget what was kept."""
        self.stop()
        linear = self._layer.linear
        self._kept = self._masked = None
        self._lost = None if linear.weight.grad is None else weakref.ref(linear.weight.grad)
        mine = weakref.ref(self)

        def coming(gradient: Tensor) -> None:
            if (own := mine()) is not None:
                own._coming(gradient)

        def arrived(weight: Tensor) -> None:
            if (own := mine()) is not None:
                own._arrived(weight)

        if isinstance(linear, CsrLinear):
            linear.want_dense_gradient(self._wanted)
        elif self._wanted:
            self._handles.append(linear.weight.register_hook(coming))
        if self._wanted or not isinstance(linear, CsrLinear):
            self._handles.append(linear.weight.register_post_accumulate_grad_hook(arrived))

    def stop(self) -> None:
        """Be told of no backward pass."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def want(self, wanted: bool) -> None:
        """Choose whether the passes before the next step keep the gradient of all pairs; forget what was kept."""
        if wanted != self._wanted or wanted:
            self._wanted = wanted
            self.watch()
            self._lost = None

    @torch.no_grad()
    def _coming(self, gradient: Tensor) -> None:
        """Keep the gradient of one backward pass, before it is added to those of earlier ones."""
        finite = gradient.nan_to_num()  # a copy; what overflowed in half precision is largest
        before = self._layer.weight.grad
        if self._kept is None or before is None or not bool(before.any()):
            self._kept = finite
        else:
            self._kept += finite

    @torch.no_grad()
    def _arrived(self, weight: Tensor) -> None:
        gradient = weight.grad
        assert gradient is not None
        self._lost = None
        if isinstance(self._layer.linear, CsrLinear):
            self._layer.linear.take_dense_gradient()
            return
        self._layer.look_for_strange_steps()
        gradient.mul_(self._layer.factor)
        self._note_masked(gradient)

    def unmasked(self) -> Tensor | None:
        """Return the gradient if it is not known to be masked: somebody has set or changed it since it arrived."""
        gradient = self._layer.weight.grad
        if gradient is None or self._layer.execution == "csr" or self._is_masked(gradient):
            return None
        if self._wanted and (self._kept is None or self._has_more(gradient)):
            self._kept = gradient.nan_to_num()  # set by hand, and by no backward pass
        return gradient

    def _is_masked(self, gradient: Tensor) -> bool:
        return self._masked is not None and self._masked[0]() is gradient and gradient._version == self._masked[1]

    def _has_more(self, gradient: Tensor) -> bool:
        """Whether absent links have a gradient, which a backward pass would not have left."""
        return not torch.equal(gradient * self._layer.factor, gradient.nan_to_num())

    def masked(self) -> None:
        """Note that the gradient is masked now."""
        if self._layer.weight.grad is not None:
            self._note_masked(self._layer.weight.grad)

    def _note_masked(self, gradient: Tensor) -> None:
        self._masked = weakref.ref(gradient), gradient._version

    def of_all_pairs(self, method: str, mean: Callable[[Tensor], Tensor], scale: Tensor | None) -> Tensor:
        """Return the gradient of all pairs, as the backward passes computed it, at the scale of the gradient of the links.

        Gradients may have been clipped, or scaled by a gradient scaler, since they arrived: the kept ones are multiplied by the
        largest factor of any link.

        Args:
            method: the name of the method, for the message.
            mean: averages over the processes that train together; what was kept is this process's own.
            scale: by which all gradients are still multiplied, until the optimizer itself divides by it; None: by nothing.

        Returns:
            [O, I] float.

        Raises:
            UserError: there is no gradient, or the model was made dense after the backward pass.
        """
        layer, gradient = self._layer, self._layer.weight.grad
        linear = layer.linear
        kept = linear.dense_gradient_OI if isinstance(linear, CsrLinear) else self._kept
        lost = gradient is not None and self._lost is not None and self._lost() is gradient
        if gradient is None or kept is None or lost:
            raise UserError(
                f"method '{method}' needs the gradient of layer '{layer.name}', which has none: make the step after "
                "loss.backward(), with nothing like make_dense() between, and see that the layer takes part in the loss"
            )
        kept_OI, links, matrix = layer.form.matrix(mean(kept)), layer.links, layer.form.matrix
        factor = _factor(
            links.take(kept_OI), gradient if isinstance(linear, CsrLinear) else links.take(matrix(gradient))
        )
        factor = factor if scale is None else factor / float(scale)
        return kept_OI if abs(factor - 1) < ROUNDING else kept_OI * factor


def _factor(before_K: Tensor, after_K: Tensor) -> float:
    """The largest factor by which any large gradient was multiplied; 1 where that cannot be told."""
    if not before_K.numel():
        return 1.0
    factors_K = after_K.nan_to_num().abs() / before_K.abs()
    large_K = (before_K.abs() >= LARGE * before_K.abs().max()) & factors_K.isfinite() & (after_K != 0)
    return float(factors_K[large_K].max()) if bool(large_K.any()) else 1.0
