"""DynamicSparsity owns the masks of a model: it keeps absent weights at zero and decides when the topology changes.

    sparsity = DynamicSparsity(model, optimizer, load_method("chts_n"), total_steps=..., update_interval=..., seed=0)
    ...
    loss.backward()
    optimizer.step()

It follows the optimizer by torch's own hooks, whoever calls `optimizer.step()`: gradients of absent links are zero as soon as
they arrive, and after the step comes the topology update, if one is due. In dense execution weights stay ordinary dense
parameters that are exactly zero where a link is absent, so any model and any forward pass works unchanged; masking the gradient
(one product a layer) is the only work between two updates. In csr execution the sparse layers hold and compute with their links
alone. Linear maps and convolutions can be sparse; all decisions see the weight as a matrix [O, I] (`chtexp.sparse.maps`).
Shapes: O outputs, I inputs, K links, N samples, F input features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NoReturn, TypedDict

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from chtexp.config.distribution import layer_densities
from chtexp.config.method import Method
from chtexp.distributed.group import ALONE, Processes
from chtexp.errors import UserError
from chtexp.sparse.agreement import broadcast_links, check_agreement
from chtexp.sparse.averages import Averages
from chtexp.sparse.compact import compact
from chtexp.sparse.cpu.csr import arrange_sequentials
from chtexp.sparse.cpu.execution import Choice
from chtexp.sparse.cpu.policy import ExecutionPolicy, on_kernels
from chtexp.sparse.diagnostics import Overlap, Snapshot, UpdateRecord, update_record
from chtexp.sparse.initialisation import initial_masks, initialise_weights
from chtexp.sparse.layer import LinkState, SavedLayer, SparseLayer, check_trained
from chtexp.sparse.links import Links
from chtexp.sparse.maps import known_form
from chtexp.sparse.optimizer_state import check_step, is_elementwise, mirrors
from chtexp.sparse.owners import own, relieve
from chtexp.sparse.restored import restored
from chtexp.sparse.rewiring import Rewiring, UpdateInputs
from chtexp.sparse.steps import Steps, holding
from chtexp.sparse.wiring import (
    Chain,
    columns_of_neurons,
    layers_feeding_each_other,
    named_modules,
    plain_model,
    sparse_layers,
)
from chtexp.topology.percolation import percolate_links


class SparsityState(TypedDict):
    """The state of the sparse layers of a training, the same whatever their execution.

    Attributes:
        training: what random choices and schedules depend on besides this state: method, seed and length.
        steps: optimizer steps so far.
        link_steps: the number of links, summed over these steps.
        records: the fields of `UpdateRecord`, of all updates so far.
        layers: the layers by name, in order.
    """

    training: dict[str, str | int]
    steps: int
    link_steps: int
    records: list[dict[str, object]]
    layers: dict[str, SavedLayer]


class DynamicSparsity:
    """Dynamic sparse training of any model with linear layers or convolutions, by any torch optimizer.

    Args:
        model: the network.
        optimizer: it must hold the weights of all sparse layers. Of one that wraps another, the inner one is followed.
        method: how links are laid out, removed and regrown; see `load_method`.
        total_steps: optimizer steps of the whole training; one more is an error.
        update_interval: optimizer steps between two topology updates.
        seed: decides every random choice, together with the layer's name and the step.
        layers: the names of the sparse layers, in order: `nn.Linear`, `nn.Conv1d`, `nn.Conv2d`, transformers' `Conv1D`. None:
            all of these but the last one, the output head; a first convolution and convolutions in groups stay dense, too.
        chains: which layers feed which, for percolation: sequences of layer names, or `Junction`s; None: as the
            `nn.Sequential`s of the model show it; (): no layer feeds another. A channel counts as one neuron.
        features: [N, F] float, training inputs; only for the topology `csti`, which correlates them.
        execution: `dense` leaves the model's modules and weights as they are. `csr` turns the sparse layers into
            `chtexp.sparse.cpu.csr.CsrLinear`s, whose weights hold the links alone: time and memory are proportional to the
            links, on a CPU. `auto` decides by layer, device, density and batch, and again when the density changes; convolutions
            stay dense.
        batch: rows that a layer multiplies at once (images; sentences times tokens), for `auto`.
        processes: those that train together, each with gradients averaged over all before `step`. The leader decides every
            topology and sends it to the others; hashes are compared after every update.

    Attributes:
        steps: optimizer steps so far.
        link_steps: the number of links, summed over these steps.
        records: of all updates so far.
        layers: the sparse layers.

    Raises:
        UserError: a layer that the optimizer does not hold, an optimizer whose state cannot be masked, a budget of no links, a
            network that percolation would empty, or an execution that is not possible.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        method: Method,
        *,
        total_steps: int,
        update_interval: int,
        seed: int,
        layers: Sequence[str] | None = None,
        chains: Sequence[Chain] | None = None,
        features: Tensor | None = None,
        execution: Choice = "dense",
        batch: int = 32,
        processes: Processes = ALONE,
    ) -> None:
        if not isinstance(method, Method):
            raise UserError(f"method must be a Method, as load_method('set') returns, not {method!r}")
        if total_steps < 1 or update_interval < 1:
            raise UserError(f"total_steps and update_interval must be at least 1, not {total_steps}, {update_interval}")
        check_step(optimizer)
        self.model = model = plain_model(model)
        linears = sparse_layers(model, layers)
        self._outer = optimizer
        self.optimizer = optimizer = holding(optimizer, [linear.weight for linear in linears.values()])
        self._elementwise = is_elementwise(optimizer)
        self.method, self.seed = method, seed
        self.total_steps, self.update_interval = total_steps, update_interval
        self.steps = 0
        self.link_steps = 0
        self.records: list[UpdateRecord] = []
        self._processes = processes
        self._dense_gradients: list[Tensor] | None = None
        self._reads_gradient = method.needs_gradient
        self._relieved = False  # whether another one has taken over the model
        self._by_hand = False  # whether the caller counts steps and updates the topology
        self._made: UpdateRecord | None = None  # made by the last step
        self._policy = ExecutionPolicy(execution, batch, model, linears, optimizer)
        self._shapes = [known_form(linear).native for linear in linears.values()]
        self.chains = layers_feeding_each_other(model, list(linears), chains, method)
        columns = columns_of_neurons(linears, self.chains)
        self._rewiring = Rewiring(
            method, self._shapes, self.chains, total_steps=total_steps, update_interval=update_interval, seed=seed
        )
        self._final_links = sum(self._rewiring.budgets(total_steps))
        with torch.no_grad():
            densities = layer_densities(self._shapes, self._rewiring.schedule(0), method.distribution)
            masks = (
                initial_masks(linears, densities, method.topology, seed, self.chains, columns, features)
                if method.topology
                else {}
            )
            drawn = {name: Links.of_mask(mask_OI) for name, mask_OI in masks.items()}
            for name in drawn:
                check_trained(name, linears[name], optimizer)
            if self.chains and drawn:
                percolate_links(drawn, self.chains, columns)  # an error where chains do not fit
            relieve(linear.weight for linear in linears.values())
            initialise_weights(linears, densities, method.weight_init, seed)
            links = broadcast_links(processes, list(drawn.values()))
            self.layers = [
                SparseLayer(
                    name, linears[name], optimizer, those, history=method.history_weights, columns=columns[name]
                )
                for name, those in zip(drawn, links, strict=True)
            ]
            if method.percolation:  # a network that an update would empty is an error before the first step
                self._rewiring.percolated(self.layers, links, step=0)
            for layer in self.layers:
                layer.install(layer.state(), self._policy.of(layer, layer.count))
        self._averages = Averages(model, self.layers)
        self._settle()
        self._steps = Steps(optimizer, self._outer, self)
        own(self)

    @property
    def owned(self) -> list[Tensor]:
        """The weights that this follows; none once another DynamicSparsity was made for the model."""
        return [] if self._relieved else [layer.weight for layer in self.layers]

    def let_go(self) -> None:
        """Let another DynamicSparsity have the model: follow nothing any more, and leave plain modules behind."""
        self._install_matrices()
        self._steps.stop()
        for layer in self.layers:
            layer.gradient.stop()
        self._averages.stop()
        self._relieved = True

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a copy would follow no optimizer."""
        raise UserError(
            "DynamicSparsity cannot be copied or pickled: keep training_state(sparsity), and load it into one made anew"
        )

    def __repr__(self) -> str:
        return (
            f"DynamicSparsity({self.method.name}, {len(self.layers)} sparse layers, density {self.density:.4g}, "
            f"step {self.steps} of {self.total_steps})"
        )

    def _settle(self) -> None:
        """Bring all that is derived from the layers up to date, and ask for the gradients of the next step."""
        self._settle_but_gradients()
        self._ask_for_gradients()

    def _settle_but_gradients(self) -> None:
        arrange_sequentials(self.model)
        self._masked = [layer for layer in self.layers if layer.execution == "dense"]
        self._on_kernels = on_kernels(self.model, self.layers)
        self._snapshot = Snapshot.of(self.layers, self.pairs)
        self._rewiring.stopped = bool(self.layers) and all(layer.flagged for layer in self.layers)
        self._averages.follow()

    def _ask_for_gradients(self) -> None:
        """Let layers keep the gradient of all pairs if the next step needs it."""
        wanted = self._reads_gradient and self._update_due(self.steps + 1)
        for layer in self.layers:
            layer.gradient.want(wanted)

    # ------------------------------------------------------------------ what is

    @property
    def masks(self) -> dict[str, Tensor]:
        """The bool mask [O, I] of every sparse layer, by name; empty for a dense method."""
        return {layer.name: layer.mask_OI for layer in self.layers}

    @property
    def links(self) -> int:
        """The number of links of all sparse layers (of a dense method: all their pairs)."""
        return self._snapshot.links

    @property
    def pairs(self) -> int:
        """The number of pairs of all layers that are sparse, or would be with another method."""
        return sum(math.prod(shape) for shape in self._shapes)

    @property
    def density(self) -> float:
        """Links / pairs, in [0, 1]."""
        return self.links / self.pairs

    @property
    def at_final_density(self) -> bool:
        """Whether the network is as sparse as it will ever be."""
        return self.links <= self._final_links

    def last_update(self) -> int:
        """Return the number of steps after which no more update comes, as far as is known now: an early stop lowers it."""
        return self._rewiring.last_update(self.records[-1].step if self.records else 0)

    def anp(self) -> float:
        """Return the active neuron post-percolation rate, in [0, 1]."""
        return self._snapshot.anp

    def itop(self) -> float:
        """Return the share of all pairs that were ever a link, in [0, 1]."""
        return self._snapshot.itop

    def mean_links(self) -> dict[str, float]:
        """Return the number of links of every sparse layer, on average over the steps so far, by name."""
        held = [(0, self._rewiring.budgets(0))]
        for record in self.records:
            densities = [float(record.layers[layer.name]["density"] or 0) for layer in self.layers]  # type: ignore[arg-type]
            shapes = zip(self._shapes, densities, strict=True)
            held.append((record.step, [round(math.prod(shape) * density) for shape, density in shapes]))
        ends = [step for step, _ in held[1:]] + [max(self.steps, 1)]
        spans = [(links, end - begin) for (begin, links), end in zip(held, ends, strict=True)]
        return {
            layer.name: sum(links[index] * steps for links, steps in spans) / max(self.steps, 1)
            for index, layer in enumerate(self.layers)
        }

    @property
    def executed(self) -> dict[str, str]:
        """How every sparse layer is executed now, by name: `csr` (only its links) or `dense` (sparsity simulated by a mask)."""
        return {layer.name: layer.execution for layer in self.layers}

    @property
    def keeps_matrices(self) -> bool:
        """Whether every weight keeps its shape through the whole training."""
        return self._policy.keeps_matrices(self.layers)

    @property
    def on_kernels(self) -> bool:
        """Whether compiled kernels do nearly all the work of a step, so that torch's threads are better given to them."""
        return self._on_kernels

    def make_dense(self) -> None:
        """Turn the model into plain modules with dense weights, zero where there is no link, to save, export or share it.

        The training may go on, in dense execution until the next topology update.

        Raises:
            UserError: somebody has given weights to absent links.
        """
        self._check_weights()
        self._install_matrices()

    def compact(self) -> nn.Module:
        """Make a copy of the model without its inactive neurons, which computes the same; see `chtexp.sparse.compact`.

        Raises:
            UserError: somebody has given weights to absent links, or nothing can be cut out.
        """
        self._check_weights()
        return compact(self.model)

    def _install_matrices(self) -> None:
        with torch.no_grad():
            for layer in self.layers:
                if layer.execution == "csr":
                    layer.install(layer.state(), "dense")
        self._settle_but_gradients()

    def _check_weights(self) -> None:
        """Check that the layers are still those of the model, and that absent links have no weight, whoever may have set one."""
        modules = named_modules(self.model)
        for layer in self.layers:
            if modules.get(layer.name) is not layer.linear:
                raise UserError(
                    f"'{layer.name}' of the model is another module than when DynamicSparsity was made: replace modules before"
                )
            layer.check_weight(every_one=True)

    def follow(self, average: nn.Module) -> None:
        """Have an averaged copy of the model follow the links: at every update, what leaves the network leaves the average.

        An `AveragedModel` that is made of the model afterwards is followed by itself.

        Args:
            average: an `AveragedModel` that was made before, or any other module with the layers of the model.

        Raises:
            UserError: it does not have the sparse layers of the model.
        """
        self._averages.add(average.module if isinstance(average, AveragedModel) else average)

    # ------------------------------------------------------------------ one step

    @torch.no_grad()
    def step(self) -> UpdateRecord | None:
        """Make one optimizer step, then the topology update if one is due: `optimizer.step()`, with the update's record.

        Returns:
            The record of the update; None if none was due.

        Raises:
            UserError: see `begin_step` and `update_topology`.
        """
        self._made, steps = None, self.steps
        self._outer.step()
        if self.steps == steps:
            self.begin_step()  # says why, where there is a reason
            raise UserError(
                f"{type(self._outer).__name__}.step made no step that torch's hooks tell of: use a torch optimizer"
            )
        return self._made

    @torch.no_grad()
    def apply_gradients(self, step: Callable[[], object] | None = None) -> None:
        """Make one optimizer step on the links alone, without the topology update.

        This is the first half of `step`, for callers that have something to do (evaluate, say) before the topology changes.

        Args:
            step: makes the optimizer's step; None: `optimizer.step`. A gradient scaler needs this, and may pass the step over,
                which counts all the same.

        Raises:
            UserError: see `begin_step`.
        """
        steps, self._by_hand = self.steps, True
        try:
            (step or self._outer.step)()
            if self.steps == steps:
                self.begin_step()
                self._count()
        finally:
            self._by_hand = False

    @torch.no_grad()
    def begin_step(self) -> None:
        """Prepare for a step of the optimizer, whose hook calls this: check the weights, and mask what is not masked yet.

        Raises:
            UserError: all steps are done, somebody has given weights to absent links, or a layer has no gradient that the next
                update needs.
        """
        if self._relieved:
            raise UserError("another DynamicSparsity was made for this model since: use that one")
        if self.steps >= self.total_steps:
            raise UserError(
                f"all {self.total_steps} steps (total_steps) are done: a longer training needs another schedule"
            )
        for layer in self.layers:
            layer.check_weight()
        self.mask_gradients()
        if self._reads_gradient and self._update_due(self.steps + 1):
            scale = getattr(self.optimizer, "grad_scale", None)  # of a gradient scaler, for a fused optimizer
            gradients = [
                layer.gradient.of_all_pairs(self.method.name, self._processes.mean, scale) for layer in self.layers
            ]
            self._dense_gradients = gradients if self._processes.leads else None  # the leader decides

    def end_step(self) -> None:
        """Finish a step of the optimizer, whose hook calls this: count it, and update the topology if that is due.

        Raises:
            UserError: the optimizer's state does not mirror the weights; see also `update_topology`.
        """
        skipped = None if self._by_hand else getattr(self.optimizer, "found_inf", None)
        if skipped is not None and bool(skipped):  # by a gradient scaler, inside a fused optimizer
            return
        if not self._elementwise:
            self._mask_what_moved()
        elif self.steps == 0:
            for layer in self.layers:
                mirrors(self.optimizer, layer.weight)  # there is a state now: an unknown layout is an error at once
        for layer in self.layers:
            layer.note_weight()
        self._count()
        if self.steps == self.total_steps:
            self._check_weights()  # no update comes any more
        if not self._by_hand:
            self._made = self.update_topology()

    def _count(self) -> None:
        self.steps += 1
        self.link_steps += self.links
        if self._reads_gradient:
            self._ask_for_gradients()

    @torch.no_grad()
    def update_topology(self) -> UpdateRecord | None:
        """Update the topology, if an update is due after the steps so far: prune, remove, percolate, regrow; see `rewiring`.

        Returns:
            The record of the update; None if none was due.

        Raises:
            UserError: weights are not finite, or a layer would be left without a link.
            RuntimeError: processes hold different links after the update.
        """
        if not self.update_due:
            return None
        states = [layer.state() for layer in self.layers]
        self._finite(states)
        self._check_weights()
        for layer, state in zip(self.layers, states, strict=True):
            if layer.history_OI is not None:
                state.links.put(layer.history_OI, state.weight_K)
        before = UpdateInputs(self.steps, self.layers, states, self._dense_gradients)
        present = [state.links for state in states]  # stands for what the leader will send
        decided = self._rewiring.changed(before) if self._processes.leads else (present, present)
        kept, grown = (broadcast_links(self._processes, links) for links in decided)
        zeta = self._rewiring.zeta(self.steps)  # before this update can stop all others
        overlaps = self._install(states, kept, grown)
        check_agreement(self._processes, self.layers, self.steps)
        self._dense_gradients = None
        done = dict(zip(self.layers, overlaps, strict=True))
        self.records.append(update_record(self.steps, self._snapshot, done, density=self.density, zeta=zeta))
        return self.records[-1]

    @property
    def update_due(self) -> bool:
        """Whether `update_topology` would change the topology now."""
        return self._update_due(self.steps) and not (self.records and self.records[-1].step == self.steps)

    def _update_due(self, step: int) -> bool:
        return bool(self.layers) and self._rewiring.due(step)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Set the gradients of absent links to zero, where somebody has changed them since the backward pass masked them."""
        changed = [(layer, gradient) for layer in self._masked if (gradient := layer.gradient.unmasked()) is not None]
        if changed:
            torch._foreach_mul_([gradient for _, gradient in changed], [layer.factor for layer, _ in changed])
        for layer, _ in changed:
            layer.gradient.masked()

    @torch.no_grad()
    def wrapper_stepped(self) -> None:
        """Mask what an optimizer around the followed one did to absent links; its hook calls this."""
        self._mask_what_moved()
        for layer in self.layers:
            own = [value for value in self._outer.state.get(layer.weight, {}).values() if isinstance(value, Tensor)]
            for value in own:
                if layer.execution == "dense" and value.shape == layer.weight.shape:
                    value.mul_(layer.factor)
            layer.note_weight()

    @torch.no_grad()
    def state_loaded(self) -> None:
        """Mask a state that the optimizer has loaded; its hook calls this."""
        for layer in self.layers:
            layer.mask_buffers()

    @torch.no_grad()
    def _mask_what_moved(self) -> None:
        """Set absent weights, and what the optimizer holds for them, back to zero after a step that may have moved them."""
        for layer in self._masked:
            buffers, _ = mirrors(self.optimizer, layer.weight)
            moved = [layer.weight.detach(), *buffers.values()]
            torch._foreach_mul_(moved, [layer.factor] * len(moved))

    # ------------------------------------------------------------------ parts of an update

    def _finite(self, states: list[LinkState]) -> None:
        for layer, state in zip(self.layers, states, strict=True):
            if not bool(state.weight_K.isfinite().all()):
                raise UserError(
                    f"layer '{layer.name}' holds NaN or infinite weights after step {self.steps}: the training diverged; lower "
                    "the learning rate"
                )

    def _install(self, states: list[LinkState], kept: list[Links], grown: list[Links]) -> list[Overlap]:
        """Make the kept and the grown links the links of every layer."""
        overlaps = []
        for layer, state, stay, come in zip(self.layers, states, kept, grown, strict=True):
            overlap = Overlap(int(state.links.find(come)[1].sum()), len(come))
            overlaps.append(overlap)
            links = stay.joined(come)
            weight_K = None if layer.history_OI is None else links.take(layer.history_OI)
            carried = stay if self.method.regrown_links == "reset" else None
            layer.install(state.moved(links, carried=carried, weight_K=weight_K), self._policy.of(layer, len(links)))
            layer.mark_ever(links)
            if self.method.early_stop is not None and (overlap.rate or 0.0) > self.method.early_stop:
                layer.flagged = True
        self._settle()
        return overlaps

    # ------------------------------------------------------------------ save and resume

    def state_dict(self) -> SparsityState:
        """Collect the sparse layers (links as bits, their weights and optimizer buffers), counters and records.

        The state does not depend on the execution: a training that executes its layers another way can load it. The rest of
        model and optimizer is not in it.

        Returns:
            Plain values and tensors, which torch can load with `weights_only=True`.

        Raises:
            UserError: somebody has given weights to absent links.
        """
        self._check_weights()
        return {
            "training": self._training(),
            "steps": self.steps,
            "link_steps": self.link_steps,
            "records": [asdict(record) for record in self.records],
            "layers": {layer.name: layer.state_dict() for layer in self.layers},
        }

    def _training(self) -> dict[str, str | int]:
        """What random choices and schedules depend on besides the state."""
        return {
            "method": self.method.name,
            "seed": self.seed,
            "total_steps": self.total_steps,
            "update_interval": self.update_interval,
        }

    def check_state(self, state: SparsityState) -> None:
        """Check that `load_state_dict` can load a state.

        Args:
            state: the state.

        Raises:
            UserError: it is the state of another training: other layers, seed or length.
        """
        if state["training"] != self._training():
            raise UserError(
                f"the saved training is {state['training']}, this one {self._training()}: resume it as it began"
            )
        if list(state["layers"]) != [layer.name for layer in self.layers]:
            raise UserError(f"the saved sparse layers are {list(state['layers'])}, this model's {list(self.masks)}")
        for layer in self.layers:
            layer.check_state(state["layers"][layer.name])

    def load_state_dict(self, state: SparsityState) -> None:
        """Continue from a state that `state_dict` returned.

        Args:
            state: taken after `step`, not between its two halves: the gradient that an update reads is not in it.

        Raises:
            UserError: it is the state of another training: other layers, seed or length.
        """
        self.check_state(state)
        self.steps, self.link_steps = state["steps"], state["link_steps"]
        self.records = [restored(UpdateRecord, record) for record in state["records"]]
        with torch.no_grad():
            for layer in self.layers:
                saved = state["layers"][layer.name]
                layer.load_state_dict(saved, self._policy.of(layer, saved["weight"].numel()))
        self._settle()
