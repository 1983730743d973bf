"""DynamicSparsity owns the masks of a model: it keeps absent weights at zero and decides when the topology changes.

    sparsity = DynamicSparsity(model, optimizer, load_method("chts_n"), total_steps=..., update_interval=..., seed=0)
    ...
    loss.backward()
    sparsity.step()

In dense execution weights stay ordinary dense parameters that are exactly zero where a link is absent, so any model and
any forward pass works unchanged; masking the gradient (one product a layer) is the only work between two updates. In csr
execution the sparse layers hold and compute with their links alone.
Shapes: O outputs, I inputs, K links, N samples, F input features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.processes import ALONE, Processes
from chtexp.sparse.agreement import check_agreement, led
from chtexp.sparse.csr import arrange_sequentials
from chtexp.sparse.distribution import layer_densities
from chtexp.sparse.execution import Choice, Execution, check_execution, execution_of, without_matrix
from chtexp.sparse.initialisation import initial_masks, initialise_weights
from chtexp.sparse.layer import LinkState, SparseLayer, UpdateRecord
from chtexp.sparse.links import Links
from chtexp.sparse.method import Method
from chtexp.sparse.optimizer_state import check_step, is_elementwise, mirrors
from chtexp.sparse.rewiring import Before, Chain, Rewiring
from chtexp.sparse.wiring import plain_chains, sparse_linears
from chtexp.topology import Junction, anp, neuron_record, percolate
from chtexp.topology.neighbours import count

FEW_OTHERS = 1 << 18  # parameters outside sparse weights: so few are no work for torch's threads


class DynamicSparsity:
    """Dynamic sparse training of any model with linear layers, by any torch optimizer.

    model, optimizer: the weights of the sparse layers must be in the optimizer. method: see `load_method`.
    total_steps, update_interval: optimizer steps of the whole training, and between topology updates.
    seed: decides every draw, together with the layer's name and the step.
    layers: names of the sparse `nn.Linear`s, in order; default: every one but the last (the output head).
    chains: which layers feed which, for percolation: sequences of layer names, or `Junction`s; default: read off the
    `nn.Sequential`s of the model; () when no layer feeds another.
    features: training inputs [N, F], which `csti` correlates; only for that topology.
    execution: `dense` leaves the model's modules and weights what they are. `csr` makes the sparse layers
    `chtexp.sparse.csr.CsrLinear`s, whose weights hold the links alone: time and memory follow the links, on a CPU.
    `auto` decides by layer, device, density and batch, and again when the density changes.
    batch: rows that a layer multiplies at once (images; sentences times tokens); `auto` weighs it.
    processes: they train together, each with gradients averaged over all before `step`. The leader decides every topology
    and the others take it over; that all hold the same masks is checked by hash after every update.

    Raises UserError for a layer that the optimizer does not hold, an optimizer state that cannot be masked, a budget of
    no links, a network that percolation would empty, or an execution that cannot be.
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
        self._elementwise = is_elementwise(optimizer)
        self.model, self.execution, self.batch = model, execution, batch
        self.optimizer, self.method, self.seed = optimizer, method, seed
        self.total_steps, self.update_interval = total_steps, update_interval
        self.steps = 0
        self.link_steps = 0
        self.records: list[UpdateRecord] = []
        self._processes = processes
        self._dense_gradients: list[Tensor] | None = None
        self._reads_gradient = method.needs_gradient
        linears = sparse_linears(model, layers)
        free = without_matrix(model)
        self._need_matrix = {name for name, linear in linears.items() if linear not in free}
        types = {str(linear.weight.dtype).removeprefix("torch.") for linear in linears.values()}
        check_execution(execution, self._elementwise, type(optimizer).__name__, sorted(self._need_matrix), types)
        self._shapes = [(linear.out_features, linear.in_features) for linear in linears.values()]
        self.chains = self._wiring(model, list(linears), chains)
        self._rewiring = Rewiring(
            method, self._shapes, self.chains, total_steps=total_steps, update_interval=update_interval, seed=seed
        )
        self._final_links = sum(self._rewiring.budgets(total_steps))
        with torch.no_grad():
            densities = layer_densities(self._shapes, self._rewiring.schedule(0), method.distribution)
            initialise_weights(linears, densities, method.weight_init, seed)
            masks = (
                initial_masks(linears, densities, method.topology, seed, self.chains, features)
                if method.topology
                else {}
            )
            masks = dict(zip(masks, led(processes, list(masks.values())), strict=True))
            self.layers = [self._layer(name, linears[name], mask) for name, mask in masks.items()]
            if self.chains and self.layers:
                percolate(self.masks, self.chains)  # chains that do not fit are an error, used or not
            if method.percolation:  # a network that an update would empty is an error before the first step
                self._rewiring.percolated(self.layers, list(self.masks.values()), step=0)
            for layer in self.layers:
                layer.install(layer.state(), self._execution_of(layer.count, layer))
        self._settle()

    def _wiring(self, model: nn.Module, names: list[str], chains: Sequence[Chain] | None) -> list[Chain]:
        found: list[Chain] = list(plain_chains(model, names) if chains is None else chains)
        alone = set(names) - {name for chain in found if not isinstance(chain, Junction) for name in chain}
        if alone and chains is None and self.method.percolation and len(names) > 1:
            raise UserError(
                f"method '{self.method.name}' percolates and needs to know which layers feed which, which {type(model).__name__} "
                f"does not show for {', '.join(sorted(alone))}: pass chains=[['first', 'second'], ...], or chains=() if none does"
            )
        return found

    def _layer(self, name: str, linear: nn.Linear, mask_OI: Tensor) -> SparseLayer:
        if not any(linear.weight is held for group in self.optimizer.param_groups for held in group["params"]):
            raise UserError(
                f"the weight of sparse layer '{name}' is not in the optimizer; pass it model.parameters(), or name the layers "
                "that are to be sparse, without it: layers=[...]"
            )
        if not linear.weight.requires_grad:
            raise UserError(
                f"sparse layer '{name}' is frozen (requires_grad is False), and links that cannot learn cannot be rewired; name "
                "the layers that are to be sparse, without it: layers=[...]"
            )
        return SparseLayer(name, linear, self.optimizer, mask_OI, history=self.method.history_weights)

    def _execution_of(self, links: int, layer: SparseLayer) -> Execution:
        return execution_of(
            self.execution,
            links=links,
            shape=layer.shape,
            batch=self.batch,
            device=layer.weight.device,
            dtype=layer.weight.dtype,
            possible=self._elementwise and layer.name not in self._need_matrix,
        )

    def _settle(self) -> None:
        """Everything that follows from the layers as they now are."""
        arrange_sequentials(self.model)
        self._masked = [layer for layer in self.layers if layer.execution == "dense"]
        weights = [layer.weight for layer in self.layers]
        others = sum(parameter.numel() for parameter in self.model.parameters()) - sum(w.numel() for w in weights)
        fitting = all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights)
        self._on_kernels = bool(weights) and not self._masked and fitting and others <= FEW_OTHERS
        self._anp = anp(self.masks) if self.layers else 1.0
        self._itop = sum(layer.ever_linked() for layer in self.layers) / self.pairs if self.layers else 1.0
        self._links = sum(layer.count for layer in self.layers) if self.layers else self.pairs
        self._rewiring.stopped = bool(self.layers) and all(layer.flagged for layer in self.layers)
        self._ask_for_gradients()

    def _ask_for_gradients(self) -> None:
        """Layers that compute with links alone leave the gradient of absent ones only where the next step needs it."""
        wanted = self._reads_gradient and self._update_due(self.steps + 1)
        for layer in self.layers:
            layer.want_dense_gradient(wanted)

    # ------------------------------------------------------------------ what is

    @property
    def masks(self) -> dict[str, Tensor]:
        """The bool mask [O, I] of every sparse layer, by name; empty for a dense method."""
        return {layer.name: layer.mask_OI for layer in self.layers}

    @property
    def links(self) -> int:
        """Links of all sparse layers (of a dense method: all their pairs)."""
        return self._links

    @property
    def pairs(self) -> int:
        """Pairs of all layers that are or could be sparse."""
        return sum(outputs * inputs for outputs, inputs in self._shapes)

    @property
    def density(self) -> float:
        return self.links / self.pairs

    @property
    def at_final_density(self) -> bool:
        """Whether the network is as sparse as it will ever be."""
        return self.links <= self._final_links

    def last_update(self) -> int:
        """No topology update comes after so many steps, as far as is known now: an early stop brings it forward."""
        return self._rewiring.last_update(self.records[-1].step if self.records else 0)

    def anp(self) -> float:
        """Active neuron rate, in [0, 1]."""
        return self._anp

    def itop(self) -> float:
        """Share of all pairs that were ever a link, in [0, 1]."""
        return self._itop

    @property
    def executed(self) -> dict[str, str]:
        """How every sparse layer is executed now: `csr` (only its links) or `dense` (sparsity simulated by a mask)."""
        return {layer.name: layer.execution for layer in self.layers}

    @property
    def keeps_matrices(self) -> bool:
        """Whether every weight keeps its shape through the whole training."""
        on_cpu = any(layer.weight.device.type == "cpu" for layer in self.layers)
        return self.execution == "dense" or not (on_cpu or self.execution == "csr")

    @property
    def on_kernels(self) -> bool:
        """Whether compiled kernels do nearly all of a step, so that torch's threads are better lent to them."""
        return self._on_kernels

    def make_dense(self) -> None:
        """Give the model back as plain modules with matrices, zero where there is no link: to save, export or share it.

        Training may go on so, in dense execution until the next topology update.
        """
        with torch.no_grad():
            for layer in self.layers:
                layer.install(layer.state(), "dense")
        self._settle()

    # ------------------------------------------------------------------ one step

    def step(self) -> UpdateRecord | None:
        """After `loss.backward()`: one optimizer step on the links, then the topology update if one is due."""
        self.apply_gradients()
        return self.update_topology()

    @torch.no_grad()
    def apply_gradients(self, step: Callable[[], object] | None = None) -> None:
        """One optimizer step on the links alone; absent weights stay exactly zero.

        The first half of `step`, for those who want to do something (evaluate, say) before the topology changes.
        step: what makes the optimizer's step, where something stands before it (a gradient scaler, which may pass it over).
        """
        if self._reads_gradient and self._update_due(self.steps + 1):
            gradients = [self._dense_gradient(layer) for layer in self.layers]
            self._dense_gradients = gradients if self._processes.leads else None  # who decides
        self.mask_gradients()
        (step or self.optimizer.step)()
        if not self._elementwise:
            self._mask_what_moved()
        elif self.steps == 0:
            for layer in self.layers:
                mirrors(self.optimizer, layer.weight)  # there is a state now: an unknown layout is an error, not later
        self.steps += 1
        self.link_steps += self.links
        if self._reads_gradient:
            self._ask_for_gradients()

    @torch.no_grad()
    def update_topology(self) -> UpdateRecord | None:
        """The topology update, if one is due after the steps so far: prune, remove, percolate, regrow; see `rewiring`."""
        if not self.update_due:
            return None
        states = [layer.state() for layer in self.layers]
        self._finite(states)
        for layer, state in zip(self.layers, states, strict=True):
            if layer.history_OI is not None:
                state.links.put(layer.history_OI, state.weight_K)
        before = Before(self.steps, self.layers, states, self._dense_gradients)
        decided = self._rewiring.changed(before) if self._processes.leads else self._awaited()
        kept, grown = (led(self._processes, masks) for masks in decided)
        zeta = self._rewiring.zeta(self.steps)  # before this update can stop all others
        overlaps = self._install(states, kept, grown)
        check_agreement(self._processes, list(self.masks.values()), self.steps)
        self._dense_gradients = None
        record = self._record(overlaps, zeta)
        self.records.append(record)
        return record

    def _awaited(self) -> tuple[list[Tensor], list[Tensor]]:
        """In the place of what the leader will send."""
        masks = [layer.mask_OI for layer in self.layers]
        return masks, [torch.zeros_like(mask) for mask in masks]

    @property
    def update_due(self) -> bool:
        """Whether `update_topology` would change the topology now."""
        return self._update_due(self.steps) and not (self.records and self.records[-1].step == self.steps)

    def _update_due(self, step: int) -> bool:
        return bool(self.layers) and self._rewiring.due(step)

    def mask_gradients(self) -> None:
        """Make the gradients of absent links zero; `step` does. Call it before clipping gradients by their norm."""
        held = [(layer.weight.grad, layer.factor_OI) for layer in self._masked if layer.weight.grad is not None]
        if held:
            torch._foreach_mul_(*map(list, zip(*held, strict=True)))

    def _mask_what_moved(self) -> None:
        """After a step that may move absent weights: back to zero, they and all that the optimizer holds for them."""
        for layer in self._masked:
            buffers, _ = mirrors(self.optimizer, layer.weight)
            moved = [layer.weight.detach(), *buffers.values()]
            torch._foreach_mul_(moved, [layer.factor_OI] * len(moved))

    # ------------------------------------------------------------------ parts of an update

    def _finite(self, states: list[LinkState]) -> None:
        for layer, state in zip(self.layers, states, strict=True):
            if not bool(state.weight_K.isfinite().all()):
                raise UserError(
                    f"layer '{layer.name}' holds NaN or infinite weights after step {self.steps}: the training diverged; lower "
                    "the learning rate"
                )

    def _install(self, states: list[LinkState], kept: list[Tensor], grown: list[Tensor]) -> list[tuple[int, int]]:
        """Make kept and grown the links; returns (|removed and regrown|, |regrown|) of every layer."""
        overlaps = []
        for layer, state, kept_OI, grown_OI in zip(self.layers, states, kept, grown, strict=True):
            before_OI = layer.mask_OI
            again, regrown = count(before_OI & grown_OI), count(grown_OI)
            overlaps.append((again, regrown))
            links = Links.of_mask(kept_OI | grown_OI)
            weight_K = None if layer.history_OI is None else links.take(layer.history_OI)
            carried_OI = kept_OI if self.method.regrown_links == "reset" else None
            moved = state.moved(links, carried_OI=carried_OI, weight_K=weight_K)
            layer.install(moved, self._execution_of(len(links), layer))
            layer.mark_ever()
            if self.method.early_stop is not None and regrown and again / regrown > self.method.early_stop:
                layer.flagged = True
        self._settle()
        return overlaps

    def _dense_gradient(self, layer: SparseLayer) -> Tensor:
        """The gradient of all pairs; of links alone, autograd leaves it apart from the gradients that were averaged."""
        gradient_OI = layer.dense_gradient(self.method.name)
        return self._processes.mean(gradient_OI) if layer.execution == "csr" else gradient_OI

    def _record(self, overlaps: list[tuple[int, int]], zeta: float) -> UpdateRecord:
        again, regrown = (sum(part) for part in zip(*overlaps, strict=True))
        return UpdateRecord(
            step=self.steps,
            density=self.density,
            anp=self.anp(),
            overlap=again / regrown if regrown else None,
            itop=self.itop(),
            zeta=zeta,
            layers={
                layer.name: {
                    "density": layer.density,
                    "overlap": again / regrown if regrown else None,
                    "flagged": layer.flagged,
                    **neuron_record(layer.mask_OI),
                }
                for layer, (again, regrown) in zip(self.layers, overlaps, strict=True)
            },
        )

    # ------------------------------------------------------------------ save and resume

    def state_dict(self) -> dict[str, Any]:
        """All of the sparse layers (links as bits, their weights and optimizer buffers), counters and records.

        The same whatever the execution: it may be loaded by a training that executes its layers another way. Plain
        values and tensors, loadable with `weights_only=True`. Everything else of model and optimizer is their own.
        """
        return {
            "training": self._training(),
            "steps": self.steps,
            "link_steps": self.link_steps,
            "records": [asdict(record) for record in self.records],
            "layers": {layer.name: layer.state_dict() for layer in self.layers},
        }

    def _training(self) -> dict[str, Any]:
        """What draws and schedules depend on besides the state."""
        return {
            "method": self.method.name,
            "seed": self.seed,
            "total_steps": self.total_steps,
            "update_interval": self.update_interval,
        }

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise UserError where `load_state_dict` would."""
        if state["training"] != self._training():
            raise UserError(
                f"the saved training is {state['training']}, this one {self._training()}: resume it as it began"
            )
        if list(state["layers"]) != [layer.name for layer in self.layers]:
            raise UserError(f"the saved sparse layers are {list(state['layers'])}, this model's {list(self.masks)}")
        for layer in self.layers:
            layer.check_state(state["layers"][layer.name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; raises UserError when it is another training's: other layers, seed or length.

        Take the state after `step`, not between its two halves: the gradient that an update reads is not in it.
        """
        self.check_state(state)
        self.steps, self.link_steps = state["steps"], state["link_steps"]
        self.records = [UpdateRecord(**record) for record in state["records"]]
        with torch.no_grad():
            for layer in self.layers:
                saved = state["layers"][layer.name]
                layer.load_state_dict(saved, self._execution_of(saved["weight"].numel(), layer))
        self._settle()
