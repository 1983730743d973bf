"""One sparse layer: a linear map of a model, its links, and the two ways to execute it.

`dense`: the weight is an ordinary one, exactly zero where a link is absent, and gradients are masked; this is fast on a
GPU. `csr`: the weight holds the values of the links alone (`chtexp.sparse.cpu.csr`). What the links carry is the same in
both, a `LinkState`: updates, checkpoints and changes of the execution go through it.

Shapes: O outputs, I inputs (columns of the weight as a matrix, see `chtexp.sparse.maps`), K links.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse import bits
from chtexp.sparse.cpu.csr import CsrLinear, execute_dense, execute_links
from chtexp.sparse.cpu.execution import Execution
from chtexp.sparse.gradient import WeightGradient
from chtexp.sparse.links import Links
from chtexp.sparse.maps import LinearMap, Native, known_form
from chtexp.sparse.optimizer_state import beginnings, mirrors
from chtexp.topology.neighbours import Degrees, degrees

MOST_STRANGE = 20  # changes of a weight between two steps: averages and climbs of a step make one or two


@dataclass(frozen=True, eq=False)
class LinkState:
    """What the links of a layer carry.

    Attributes:
        links: the links.
        weight_K: [K], their weights.
        gradient_K: [K], their gradients; None: there are none yet.
        buffers: the optimizer's buffers by name, each [K].
        rest: what the optimizer holds for the weight as a whole, such as a step count, by name.
        beginnings: the values with which the optimizer begins its buffers, by name; others begin at zero.
    """

    links: Links
    weight_K: Tensor
    gradient_K: Tensor | None
    buffers: dict[str, Tensor]
    rest: dict[str, object]
    beginnings: dict[str, float] = field(default_factory=dict)

    def weight_at(self, links: Links) -> Tensor:
        """Return the weights [L] of `links`, L of them; zero for links that this state does not have."""
        return _carried(self.weight_K, *self.links.find(links))

    def moved(self, links: Links, *, carried: Links | None = None, weight_K: Tensor | None = None) -> LinkState:
        """Make the state of other links: links that stay keep weight and buffers, new ones begin as the optimizer begins.

        Args:
            links: the new links, L of them.
            carried: the only links that keep what they have; None: all that are in both.
            weight_K: [L], the new weights; None: they are kept, or zero.

        Returns:
            The state of the new links.
        """
        place, there = self.links.find(links)
        if carried is not None:
            there &= carried.find(links)[1]
        return LinkState(
            links,
            _carried(self.weight_K, place, there) if weight_K is None else weight_K,
            None if self.gradient_K is None else _carried(self.gradient_K, place, there),
            {
                key: _carried(buffer_K, place, there, self.beginnings.get(key, 0.0))
                for key, buffer_K in self.buffers.items()
            },
            self.rest,
            self.beginnings,
        )


class SavedLayer(Native):
    """A layer in a checkpoint, the same whatever its execution.

    Attributes:
        shape: O and I.
        mask: uint8 [ceil(O * I / 8)], the links as bits.
        ever: uint8 [ceil(O * I / 8)], the pairs that were ever a link, as bits.
        weight: [K].
        buffers: the optimizer's buffers by name, each [K].
        rest: what the optimizer holds for the weight as a whole, by name.
        history: [O, I], the last weight of every pair; None unless the method keeps it.
        flagged: whether the early stop has flagged the layer.
    """

    shape: list[int]
    mask: Tensor
    ever: Tensor
    weight: Tensor
    buffers: dict[str, Tensor]
    rest: dict[str, object]
    history: Tensor | None
    flagged: bool


def _carried(values_K: Tensor, place: Tensor, there: Tensor, beginning: float = 0.0) -> Tensor:
    if not values_K.numel():
        return torch.full((place.numel(),), beginning, dtype=values_K.dtype, device=values_K.device)
    return torch.where(there, values_K[place], beginning)


def _copied(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in values.items()}


def check_trained(name: str, linear: LinearMap, optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimizer trains the weight of a layer.

    Args:
        name: of the layer.
        linear: the layer.
        optimizer: the optimizer.

    Raises:
        UserError: it does not hold the weight, or the weight is frozen.
    """
    if not any(linear.weight is held for group in optimizer.param_groups for held in group["params"]):
        raise UserError(
            f"the weight of sparse layer '{name}' is not in the optimizer; pass it model.parameters(), or name the layers "
            "that are to be sparse, without it: layers=[...]"
        )
    if not linear.weight.requires_grad:
        raise UserError(
            f"sparse layer '{name}' is frozen (requires_grad is False), and links that cannot learn cannot be rewired; name "
            "the layers that are to be sparse, without it: layers=[...]"
        )


class SparseLayer:
    """One sparse linear map: its links, what they carry, and what is known of its past.

    Args:
        name: of the layer in its model.
        linear: the module, which is masked in place.
        optimizer: it holds the weight (see `check_trained`).
        links: the first links.
        history: whether to keep the last weight of every pair.
        columns: of one input neuron: the pixels of a kernel, or of a flattened channel.

    Attributes:
        form: how the weight is read as a matrix.
        columns: as above.
        history_OI: [O, I], the last weight of every pair; None unless it is kept.
        flagged: whether the early stop has flagged the layer: its overlap exceeded the bound once.
        count: the number of links.
        gradient: the gradient of the weight.

    """

    def __init__(
        self,
        name: str,
        linear: LinearMap,
        optimizer: torch.optim.Optimizer,
        links: Links,
        *,
        history: bool,
        columns: int = 1,
    ) -> None:
        self.name, self.linear, self.optimizer = name, linear, optimizer
        self.form, self.columns = known_form(linear), columns
        self.flagged = False
        self._parameter, self._version, self._seen, self._strange = linear.weight, 0, 0, 0
        self.gradient = WeightGradient(self)
        if self.form.plain and not linear.weight.is_contiguous():
            linear.weight.data = linear.weight.data.contiguous()
        self._mask_OI: Tensor | None
        self._factor: Tensor | None
        self._ever = links.bits()
        self._set_dense_mask(links.mask())
        self.linear.weight.mul_(self.form.weight(self.mask_OI))
        self.history_OI = self.form.matrix(linear.weight.detach()).clone() if history else None
        self.count = len(links)

    @property
    def weight(self) -> Tensor:
        """The module's weight: in its own shape in dense execution, [K] in csr execution."""
        return self.linear.weight

    @property
    def execution(self) -> Execution:
        """How the layer is executed now: `csr` or `dense`."""
        return "csr" if isinstance(self.linear, CsrLinear) else "dense"

    @property
    def shape(self) -> tuple[int, int]:
        """O and I."""
        return self.form.shape

    @property
    def links(self) -> Links:
        """The links, as a list."""
        return self.linear.compressed.links if isinstance(self.linear, CsrLinear) else Links.of_mask(self.mask_OI)

    @property
    def mask_OI(self) -> Tensor:
        """The mask, [O, I] bool; made from the links in csr execution."""
        return self.links.mask() if self._mask_OI is None else self._mask_OI

    @property
    def degrees(self) -> Degrees:
        """How many links every output neuron and every input neuron has; in a convolution these are channels."""
        both = self.linear.compressed.degrees if isinstance(self.linear, CsrLinear) else degrees(self.mask_OI)
        return both.of_neurons(self.columns)

    @property
    def density(self) -> float:
        """Links / pairs, in [0, 1]."""
        return self.count / (self.shape[0] * self.shape[1])

    @property
    def factor(self) -> Tensor:
        """The mask in the weight's own shape, by which gradients are multiplied in every step of dense execution.

        On the CPU it has the weight's own type, which is four times as fast there as bool (1.2 against 4.7 ms for the three
        layers of the MNIST MLP, one core); elsewhere it is the mask itself.
        """
        assert self._factor is not None
        return self._factor

    def ever_linked(self) -> int:
        """Count the pairs that were ever a link."""
        return bits.count(self._ever)

    # ------------------------------------------------------------------ what the links carry

    def state(self) -> LinkState:
        """Collect what the links carry now.

        Returns:
            The state; in csr execution it shares the memory of weight, gradient and buffers.

        Raises:
            UserError: the optimizer's state does not mirror the weight.
        """
        links, weight, matrix = self.links, self.weight.detach(), self.form.matrix
        buffers, rest = mirrors(self.optimizer, self.weight)
        begin = beginnings(self.optimizer, self.weight)
        if self.execution == "csr":
            return LinkState(links, weight, self.weight.grad, buffers, rest, begin)
        gradient_K = None if self.weight.grad is None else links.take(matrix(self.weight.grad))
        taken = {key: links.take(matrix(value)) for key, value in buffers.items()}
        return LinkState(links, links.take(matrix(weight)), gradient_K, taken, rest, begin)

    def install(self, state: LinkState, execution: Execution) -> None:
        """Give this layer other links, and what they carry. The weight stays the same parameter.

        Args:
            state: the new links and what they carry.
            execution: how to execute the layer.
        """
        if execution == "csr":
            self._install_links(state)
        else:
            self._install_dense(state)
        self.count = len(state.links)
        self.gradient.watch()
        self.note_weight()

    def mark_ever(self, links: Links) -> None:
        """Note that the pairs of `links` were once a link."""
        self._ever |= links.bits()

    def _install_links(self, state: LinkState) -> None:
        self._mask_OI = self._factor = None
        assert isinstance(self.linear, nn.Linear)
        execute_links(self.linear, state.links, state.weight_K)
        self.weight.grad = state.gradient_K
        self._set_optimizer_state({**state.rest, **state.buffers})

    def _install_dense(self, state: LinkState) -> None:
        if isinstance(self.linear, CsrLinear):
            execute_dense(self.linear, torch.zeros(self.shape, dtype=self.weight.dtype, device=self.weight.device))
            self.optimizer.state.pop(self.weight, None)
        self.form.write(self.weight.detach(), state.links, state.weight_K)
        held = self.optimizer.state.get(self.weight, {})
        buffers = {key: held[key] if key in held else torch.zeros_like(self.weight) for key in state.buffers}
        for key, buffer in buffers.items():
            self.form.write(buffer, state.links, state.buffers[key])
        self._set_optimizer_state({**state.rest, **buffers})
        if state.gradient_K is not None:
            if self.weight.grad is None:
                self.weight.grad = torch.zeros_like(self.weight)
            self.form.write(self.weight.grad, state.links, state.gradient_K)
        self._set_dense_mask(state.links.mask())

    def _set_optimizer_state(self, state: dict[str, object]) -> None:
        if state or self.weight in self.optimizer.state:
            self.optimizer.state[self.weight] = state

    def _set_dense_mask(self, mask_OI: Tensor) -> None:
        self._mask_OI = mask_OI
        mask = self.form.weight(mask_OI)
        dtype = self.weight.dtype if mask.device.type == "cpu" else torch.bool
        # in the order of the weight in memory, e.g. channels last: seven times as fast there
        same = mask.dtype == dtype and mask.stride() == self.weight.stride()
        self._factor = mask if same else torch.empty_like(self.weight, dtype=dtype, requires_grad=False).copy_(mask)

    # ------------------------------------------------------------------ what others may do to the weight

    def note_weight(self) -> None:
        """Take the weight as it is now for the layer's own: what changes it later was somebody else."""
        self._version = self._seen = self._parameter._version
        self._strange = 0

    def look_for_strange_steps(self) -> None:
        """Warn if the weight changes from one backward pass to the next, again and again, and no step is counted."""
        if self._parameter._version != self._seen:
            self._seen, self._strange = self._parameter._version, self._strange + 1
            if self._strange == MOST_STRANGE:
                warnings.warn(
                    f"sparse layer '{self.name}' has changed {MOST_STRANGE} times without a step of the optimizer that "
                    "DynamicSparsity follows, so its topology stands still: make DynamicSparsity anew for a new optimizer",
                    stacklevel=2,
                )

    def check_weight(self, *, every_one: bool = False) -> None:
        """Check that nobody else has replaced the weight, or given weights to absent links.

        Args:
            every_one: whether to look at the weights even where torch has counted no change (of `weight.data`, it does not).

        Raises:
            UserError: somebody has; the message says what may have done it.
        """
        weight = self._parameter
        if not weight.requires_grad:
            raise UserError(
                f"sparse layer '{self.name}' was frozen (requires_grad is False) after DynamicSparsity was made, and links that "
                "cannot learn cannot be rewired: name the layers that are to be sparse, without it: layers=[...]"
            )
        if self.linear._parameters.get("weight") is not weight:
            raise UserError(
                f"the weight of sparse layer '{self.name}' is another parameter than when DynamicSparsity was made (replaced, "
                "nn.utils.prune, weight_norm, parametrize): do that before, or not at all"
            )
        if self._mask_OI is None or (weight._version == self._version and not every_one):
            return
        if weight.device != self._mask_OI.device:
            raise UserError(
                f"sparse layer '{self.name}' was moved from {self._mask_OI.device} to {weight.device}: move the model before "
                "DynamicSparsity is made"
            )
        if not torch.equal(weight * self.factor, weight):
            self._refuse(int((weight.nan_to_num(0).ne(0) & ~self.form.weight(self._mask_OI)).sum()))
        self.note_weight()

    def _refuse(self, stray: int) -> None:
        """Raise the error about weights of absent links, if there are any."""
        if stray:  # and not NaN on a link, which is an error of its own
            raise UserError(
                f"{stray} absent links of sparse layer '{self.name}' have weights, which somebody set since the last step "
                "(load_state_dict, an initialisation, weights of another network): do that before DynamicSparsity is made, and "
                "resume by load_training_state"
            )

    def mask_buffers(self) -> None:
        """Set what the optimizer holds for absent links to zero, after it has loaded a state.

        Raises:
            UserError: the state is of a weight of another shape.
        """
        buffers, _ = mirrors(self.optimizer, self.weight)
        if self._factor is not None:
            for buffer in buffers.values():
                buffer.mul_(self._factor)

    # ------------------------------------------------------------------ save and resume

    def state_dict(self) -> SavedLayer:
        """Return a copy of the links, as bits, and of all that they carry but gradients; it does not depend on the execution."""
        state = self.state()
        return {
            "shape": list(self.shape),
            "mask": state.links.bits().cpu(),
            "ever": self._ever.cpu().clone(),
            "weight": state.weight_K.clone(),
            "buffers": {key: value.clone() for key, value in state.buffers.items()},
            "rest": _copied(state.rest),
            "history": None if self.history_OI is None else self.history_OI.clone(),
            "flagged": self.flagged,
            **self.form.saved(),
        }

    def check_state(self, saved: Mapping[str, object]) -> None:
        """Check that a saved layer fits this one.

        Args:
            saved: what `state_dict` returned.

        Raises:
            UserError: it has another shape, or is of another method or version.
        """
        whole = {"weight", "flagged"} <= saved.keys() and saved.get("shape") == list(self.shape)
        whole = whole and saved.get("native") == self.form.saved().get("native")
        if not whole or (saved["history"] is None) != (self.history_OI is None):
            raise UserError(
                f"the saved layer '{self.name}' is of another size, method or version than this training's: train from the "
                "start"
            )

    def load_state_dict(self, saved: SavedLayer, execution: Execution) -> None:
        """Continue from a state that `state_dict` returned, and that `check_state` accepts.

        Args:
            saved: the state.
            execution: how to execute the layer.
        """
        device, dtype = self.weight.device, self.weight.dtype
        links = Links.of_mask(bits.unpack(saved["mask"].to(device), self.shape))
        buffers = {key: value.to(device).clone() for key, value in saved["buffers"].items()}
        weight_K = saved["weight"].to(device, dtype).clone()
        rest = {key: self._placed(key, value) for key, value in _copied(saved["rest"]).items()}
        self.install(LinkState(links, weight_K, None, buffers, rest), execution)
        self._ever = saved["ever"].to(device).clone()
        self.flagged = saved["flagged"]
        if self.history_OI is not None and saved["history"] is not None:
            self.history_OI.copy_(saved["history"])

    def _placed(self, key: str, value: object) -> object:
        """The value where torch puts it as it loads an optimizer: steps beside the weight, where its kernels count them."""
        group = next(
            group for group in self.optimizer.param_groups if any(self.weight is held for held in group["params"])
        )
        if key == "step" and isinstance(value, Tensor) and (group.get("capturable") or group.get("fused")):
            return value.to(self.weight.device, torch.float32)
        return value
