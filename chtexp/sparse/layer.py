"""One sparse layer: a linear map of a model, its links, and the two ways in which they can be executed.

`dense`: the weight is an ordinary matrix, exactly zero where a link is absent, and gradients are masked; what a GPU
wants. `csr`: the weight holds the values of the links alone (`chtexp.sparse.csr`). What the links carry is the same in
both, a `LinkState`: updates, checkpoints and the change from one execution to the other go through it.

Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import bits
from chtexp.sparse.csr import CsrLinear, execute_dense, execute_links
from chtexp.sparse.execution import Execution
from chtexp.sparse.links import Links
from chtexp.sparse.optimizer_state import mirrors
from chtexp.topology.neighbours import count


@dataclass(frozen=True)
class UpdateRecord:
    """What one topology update did. All rates are in [0, 1].

    density: links / pairs after it. anp: active neurons post-percolation. overlap: |removed and regrown| / |regrown|,
    None when nothing was regrown (an epitopological local minimum shows as an overlap near 1). itop: pairs that were
    ever a link / pairs. zeta: the share of links that was to be removed. layers: density, overlap, whether the early stop
    has flagged it, and its neurons (`chtexp.topology.neuron_record`), by layer.
    """

    step: int
    density: float
    anp: float
    overlap: float | None
    itop: float
    zeta: float
    layers: dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class LinkState:
    """What the links of a layer carry: weight, gradient (None: none yet) and the optimizer's buffers, each [K].

    rest: what the optimizer holds for the weight as a whole, such as a count of steps.
    """

    links: Links
    weight_K: Tensor
    gradient_K: Tensor | None
    buffers: dict[str, Tensor]
    rest: dict[str, Any]

    def weight_at(self, links: Links) -> Tensor:
        """The weight of every one of `links`; zero where this state has no such link."""
        return _carried(self.weight_K, *self.links.find(links))

    def moved(self, links: Links, *, carried_OI: Tensor | None = None, weight_K: Tensor | None = None) -> LinkState:
        """The state on other links: those that this state has keep their weight and buffers, others start from zero.

        Args:
            links: the links to be, L of them.
            carried_OI: bool mask of the only links that keep what they have; None: all that both have.
            weight_K: [L], the weights to be, where they are not simply carried.
        """
        place, there = self.links.find(links)
        if carried_OI is not None:
            there &= links.take(carried_OI)
        return LinkState(
            links,
            _carried(self.weight_K, place, there) if weight_K is None else weight_K,
            None if self.gradient_K is None else _carried(self.gradient_K, place, there),
            {key: _carried(buffer_K, place, there) for key, buffer_K in self.buffers.items()},
            self.rest,
        )


def _carried(values_K: Tensor, place: Tensor, there: Tensor) -> Tensor:
    if not values_K.numel():
        return torch.zeros(place.numel(), dtype=values_K.dtype, device=values_K.device)
    return torch.where(there, values_K[place], 0)


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in values.items()}


class SparseLayer:
    """One sparse linear map: its links, where the numbers on them are, and what is known of its past.

    linear: the module of the model. history_OI: the value that every pair last held, where a method wants it.
    flagged: its overlap passed the early stop's bound once. count: how many links it has.
    """

    def __init__(
        self, name: str, linear: nn.Linear, optimizer: torch.optim.Optimizer, mask_OI: Tensor, *, history: bool
    ) -> None:
        self.name, self.linear, self.optimizer = name, linear, optimizer
        self.flagged = False
        self._end_of_backward: Any = None
        if not linear.weight.is_contiguous():
            linear.weight.data = linear.weight.data.contiguous()
        self._mask_OI: Tensor | None
        self._factor_OI: Tensor | None
        self._ever = bits.pack(mask_OI)
        self.linear.weight.mul_(mask_OI)
        self.history_OI = linear.weight.detach().clone() if history else None
        self._set_dense_mask(mask_OI)

    @property
    def weight(self) -> Tensor:
        """The module's weight: [O, I] in dense execution, [K] in csr execution."""
        return self.linear.weight

    @property
    def execution(self) -> Execution:
        return "csr" if isinstance(self.linear, CsrLinear) else "dense"

    @property
    def shape(self) -> tuple[int, int]:
        return self.linear.out_features, self.linear.in_features

    @property
    def links(self) -> Links:
        return self.linear.compressed.links if isinstance(self.linear, CsrLinear) else Links.of_mask(self.mask_OI)

    @property
    def mask_OI(self) -> Tensor:
        """The bool mask; made anew from the links in csr execution."""
        return self.links.mask() if self._mask_OI is None else self._mask_OI

    @property
    def density(self) -> float:
        return self.count / (self.shape[0] * self.shape[1])

    @property
    def factor_OI(self) -> Tensor:
        """The mask as what gradients are multiplied by in every dense step.

        On the CPU it is of the weight's own type, four times as fast there as a bool (1.2 against 4.7 ms for the three
        layers of the MNIST MLP, one core); elsewhere it is the mask itself.
        """
        assert self._factor_OI is not None
        return self._factor_OI

    def ever_linked(self) -> int:
        """Pairs that were ever a link."""
        return bits.count(self._ever)

    # ------------------------------------------------------------------ what the links carry

    def state(self) -> LinkState:
        """What the links carry now. Raises UserError where the optimizer's state does not mirror the weight."""
        links, weight = self.links, self.weight.detach()
        buffers, rest = mirrors(self.optimizer, self.weight)
        if self.execution == "csr":
            return LinkState(links, weight, self.weight.grad, buffers, rest)
        gradient_K = None if self.weight.grad is None else links.take(self.weight.grad)
        return LinkState(
            links, links.take(weight), gradient_K, {key: links.take(value) for key, value in buffers.items()}, rest
        )

    def install(self, state: LinkState, execution: Execution) -> None:
        """Make `state` what this layer is, executed in this way. The weight stays the same parameter."""
        if execution == "csr":
            self._install_links(state)
        else:
            self._install_dense(state)
        self.count = len(state.links)

    def mark_ever(self) -> None:
        """Note that all present links were once one."""
        self._ever |= bits.pack(self.mask_OI)

    def _install_links(self, state: LinkState) -> None:
        self._mask_OI = self._factor_OI = None
        execute_links(self.linear, state.links, state.weight_K)
        self.weight.grad = state.gradient_K
        self._set_optimizer_state({**state.rest, **state.buffers})

    def _install_dense(self, state: LinkState) -> None:
        if self.execution == "csr":
            execute_dense(self.linear, torch.zeros(self.shape, dtype=self.weight.dtype, device=self.weight.device))
            self.optimizer.state.pop(self.weight, None)
        self._write(self.weight.detach(), state.links, state.weight_K)
        held = self.optimizer.state.get(self.weight, {})
        buffers = {key: held[key] if key in held else torch.zeros_like(self.weight) for key in state.buffers}
        for key, buffer_OI in buffers.items():
            self._write(buffer_OI, state.links, state.buffers[key])
        self._set_optimizer_state({**state.rest, **buffers})
        if state.gradient_K is not None:
            if self.weight.grad is None:
                self.weight.grad = torch.zeros_like(self.weight)
            self._write(self.weight.grad, state.links, state.gradient_K)
        self._set_dense_mask(state.links.mask())

    @staticmethod
    def _write(matrix_OI: Tensor, links: Links, values_K: Tensor) -> None:
        matrix_OI.zero_()
        links.put(matrix_OI, values_K)

    def _set_optimizer_state(self, state: dict[str, Any]) -> None:
        if state or self.weight in self.optimizer.state:
            self.optimizer.state[self.weight] = state

    def _set_dense_mask(self, mask_OI: Tensor) -> None:
        self._mask_OI = mask_OI
        on_cpu = mask_OI.device.type == "cpu"
        self._factor_OI = mask_OI.to(self.weight.dtype) if on_cpu else mask_OI
        self.count = count(mask_OI)

    # ------------------------------------------------------------------ the gradient of all pairs

    def want_dense_gradient(self, wanted: bool) -> None:
        """Whether the next backward pass must leave the gradient of absent links, too."""
        if self._end_of_backward is not None:
            self._end_of_backward.remove()
            self._end_of_backward = None
        linear = self.linear
        if not isinstance(linear, CsrLinear):
            return
        linear.wants_dense_gradient, linear.dense_gradient_OI, linear.backward_done = wanted, None, False
        if wanted:

            def ended(weight: Tensor) -> None:
                linear.backward_done = True

            self._end_of_backward = linear.weight.register_post_accumulate_grad_hook(ended)

    def dense_gradient(self, method: str) -> Tensor:
        """The gradient [O, I] of all pairs by the last backward pass; UserError when there was none."""
        linear = self.linear
        gradient_OI = linear.dense_gradient_OI if isinstance(linear, CsrLinear) else linear.weight.grad
        if self.weight.grad is None or gradient_OI is None:
            raise UserError(
                f"method '{method}' needs the gradient of layer '{self.name}', which has none: call step() after "
                "loss.backward(), and see that the layer takes part in the loss"
            )
        if isinstance(linear, CsrLinear):
            return gradient_OI
        return gradient_OI.nan_to_num()  # a copy, for it is masked next; what overflowed in half precision is largest

    # ------------------------------------------------------------------ save and resume

    def state_dict(self) -> dict[str, Any]:
        """Links as bits and all that they carry but their gradients: a copy, the same whatever the execution."""
        state = self.state()
        return {
            "shape": list(self.shape),
            "mask": bits.pack(self.mask_OI).cpu(),
            "ever": self._ever.cpu().clone(),
            "weight": state.weight_K.clone(),
            "buffers": {key: value.clone() for key, value in state.buffers.items()},
            "rest": _copied(state.rest),
            "history": None if self.history_OI is None else self.history_OI.clone(),
            "flagged": self.flagged,
        }

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise UserError unless `saved` is a `state_dict` of a layer of this shape and method."""
        whole = {"weight", "flagged"} <= saved.keys() and saved.get("shape") == list(self.shape)
        if not whole or (saved["history"] is None) != (self.history_OI is None):
            raise UserError(
                f"the saved layer '{self.name}' is of another size, method or version than this training's: train from the "
                "start"
            )

    def load_state_dict(self, saved: dict[str, Any], execution: Execution) -> None:
        device, dtype = self.weight.device, self.weight.dtype
        links = Links.of_mask(bits.unpack(saved["mask"].to(device), self.shape))
        buffers = {key: value.to(device).clone() for key, value in saved["buffers"].items()}
        weight_K = saved["weight"].to(device, dtype).clone()
        self.install(LinkState(links, weight_K, None, buffers, _copied(saved["rest"])), execution)
        self._ever = saved["ever"].to(device).clone()
        self.flagged = saved["flagged"]
        if self.history_OI is not None:
            self.history_OI.copy_(saved["history"])
