"""DynamicSparsity owns the masks of a model: it keeps absent weights at zero and decides when the topology changes.

    sparsity = DynamicSparsity(model, optimizer, load_method("chts_n"), total_steps=..., update_interval=..., seed=0)
    ...
    loss.backward()
    sparsity.step()

Weights stay ordinary dense parameters that are exactly zero where a link is absent, so any model and any forward pass
works unchanged; masking the gradient (one product a layer) is the only work between two updates.
Shapes: O outputs, I inputs, N samples, F input features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.randomness import generator
from chtexp.sparse.bits import pack, unpack
from chtexp.sparse.criteria import link_scores
from chtexp.sparse.distribution import layer_densities
from chtexp.sparse.initialisation import initial_masks, initialise_weights
from chtexp.sparse.layer import SparseLayer, UpdateRecord
from chtexp.sparse.method import Method, Removal
from chtexp.sparse.optimizer_state import check_step, is_elementwise, mask_state
from chtexp.sparse.schedules import soft_exponent, step_at, zeta_at
from chtexp.sparse.update import keep_highest, keep_highest_overall, regrow, remove
from chtexp.sparse.wiring import plain_chains, sparse_linears
from chtexp.topology import Junction, anp, link_budget, percolate

Chain = Sequence[str] | Junction


class DynamicSparsity:
    """Dynamic sparse training of any model with linear layers, by any torch optimizer.

    model, optimizer: the weights of the sparse layers must be in the optimizer. method: see `load_method`.
    total_steps, update_interval: optimizer steps of the whole training, and between topology updates.
    seed: decides every draw, together with the layer's name and the step.
    layers: names of the sparse `nn.Linear`s, in order; default: every one but the last (the output head).
    chains: which layers feed which, for percolation: sequences of layer names, or `Junction`s; default: read off the
    `nn.Sequential`s of the model; () when no layer feeds another.
    features: training inputs [N, F], which `csti` correlates; only for that topology.

    Raises UserError for a layer that the optimizer does not hold, an optimizer state that cannot be masked, a budget of
    no links, or a network that percolation would empty.
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
    ) -> None:
        if total_steps < 1 or update_interval < 1:
            raise UserError(f"total_steps and update_interval must be at least 1, not {total_steps}, {update_interval}")
        check_step(optimizer)
        self.optimizer, self.method, self.seed = optimizer, method, seed
        self.total_steps, self.update_interval = total_steps, update_interval
        self.steps = 0
        self.link_steps = 0
        self.records: list[UpdateRecord] = []
        self._dense_gradients: list[Tensor] | None = None
        self._update_end = step_at(method.update_end, total_steps)
        linears = sparse_linears(model, layers)
        self._shapes = [(linear.out_features, linear.in_features) for linear in linears.values()]
        self._chains = self._wiring(model, list(linears), chains)
        self._schedule = method.schedule(total_steps, update_interval)
        self._final_links = sum(self._budgets(total_steps))
        with torch.no_grad():
            densities = layer_densities(self._shapes, self._schedule(0), method.distribution)
            initialise_weights(linears, densities, method.weight_init, seed)
            masks = (
                initial_masks(linears, densities, method.topology, seed, self._chains, features)
                if method.topology
                else {}
            )
            self.layers = [self._layer(name, linears[name].weight, mask) for name, mask in masks.items()]
        self._mask_products_needed_after_step = not is_elementwise(optimizer)
        self._mask_optimizer_state()
        if self._chains and self.layers:
            percolate(self.masks, self._chains)  # chains that do not fit are an error, used or not
        if method.percolation:  # a network that would be emptied at its first update is an error before its first step
            self._percolate(self.layers, [layer.mask_OI for layer in self.layers])

    def _wiring(self, model: nn.Module, names: list[str], chains: Sequence[Chain] | None) -> list[Chain]:
        found: list[Chain] = list(plain_chains(model, names) if chains is None else chains)
        alone = set(names) - {name for chain in found if not isinstance(chain, Junction) for name in chain}
        if alone and chains is None and self.method.percolation and len(names) > 1:
            raise UserError(
                f"method '{self.method.name}' percolates and needs to know which layers feed which, which {type(model).__name__} "
                f"does not show for {', '.join(sorted(alone))}: pass chains=[['first', 'second'], ...], or chains=() if none does"
            )
        return found

    def _layer(self, name: str, weight: Tensor, mask_OI: Tensor) -> SparseLayer:
        if not any(weight is held for group in self.optimizer.param_groups for held in group["params"]):
            raise UserError(f"the weight of sparse layer '{name}' is not in the optimizer; pass it model.parameters()")
        weight.mul_(mask_OI)
        history_OI = weight.detach().clone() if self.method.history_weights else None
        return SparseLayer(name, weight, mask_OI, mask_OI.clone(), history_OI)

    # ------------------------------------------------------------------ what is

    @property
    def masks(self) -> dict[str, Tensor]:
        """The bool mask [O, I] of every sparse layer, by name; empty for a dense method."""
        return {layer.name: layer.mask_OI for layer in self.layers}

    @property
    def links(self) -> int:
        """Links of all sparse layers (of a dense method: all their pairs)."""
        return sum(layer.links for layer in self.layers) if self.layers else self.pairs

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

    def anp(self) -> float:
        """Active neuron rate, in [0, 1]."""
        return anp(self.masks) if self.layers else 1.0

    def itop(self) -> float:
        """Share of all pairs that were ever a link, in [0, 1]."""
        return sum(int(layer.ever_OI.sum()) for layer in self.layers) / self.pairs if self.layers else 1.0

    # ------------------------------------------------------------------ one step

    def step(self) -> UpdateRecord | None:
        """After `loss.backward()`: one optimizer step on the links, then the topology update if one is due."""
        self.apply_gradients()
        return self.update_topology()

    @torch.no_grad()
    def apply_gradients(self) -> None:
        """One optimizer step on the links alone; absent weights stay exactly zero.

        The first half of `step`, for those who want to do something (evaluate, say) before the topology changes.
        """
        if self.method.needs_gradient and self._update_due(self.steps + 1):
            self._dense_gradients = [self._gradient(layer).clone() for layer in self.layers]
        self._mask_gradients()
        self.optimizer.step()
        if self._mask_products_needed_after_step:
            torch._foreach_mul_([layer.weight for layer in self.layers], [layer.factor_OI for layer in self.layers])
            self._mask_optimizer_state()
        elif self.steps == 0:
            self._mask_optimizer_state()  # the state exists from here on: an unknown layout is an error now, not later
        self.steps += 1
        self.link_steps += self.links

    @torch.no_grad()
    def update_topology(self) -> UpdateRecord | None:
        """The topology update, if one is due after the steps so far: prune, remove, percolate, regrow.

        g, the gradient that some rules read, is the dense one of the last backward pass, before the last optimizer step.
        """
        if not self.update_due:
            return None
        evolving = self._evolves(self.steps)
        zeta = zeta_at(self.method.zeta, self.method.zeta_schedule, self.steps, self._update_end) if evolving else 0.0
        budgeted = self._pruned()
        kept, grown = budgeted, [torch.zeros_like(mask) for mask in budgeted]
        if evolving:
            budgets = [int(mask.sum()) for mask in budgeted]
            kept = self._removed(budgeted, budgets, zeta)
            if self.method.percolation:
                kept = self._percolate(self.layers, kept)
            grown = self._regrown(kept, budgets)
        overlaps = self._install(kept, grown)
        self._dense_gradients = None
        record = self._record(zeta, overlaps)
        self.records.append(record)
        return record

    @property
    def update_due(self) -> bool:
        """Whether `update_topology` would change the topology now."""
        return self._update_due(self.steps) and not (self.records and self.records[-1].step == self.steps)

    def _update_due(self, step: int) -> bool:
        """Updates happen every `update_interval` steps, while links evolve or density falls, never after the last step."""
        if not self.layers or step % self.update_interval or not 0 < step < self.total_steps:
            return False
        return self._evolves(step) or self._schedule(step) < self._schedule(step - self.update_interval)

    def _evolves(self, step: int) -> bool:
        return self.method.removal is not None and step <= self._update_end

    def _gradient(self, layer: SparseLayer) -> Tensor:
        if layer.weight.grad is None:
            raise UserError(
                f"method '{self.method.name}' needs the gradient of layer '{layer.name}', which has none: call step() after "
                "loss.backward(), and see that the layer takes part in the loss"
            )
        return layer.weight.grad

    def _mask_gradients(self) -> None:
        held = [(layer.weight.grad, layer.factor_OI) for layer in self.layers if layer.weight.grad is not None]
        if held:
            torch._foreach_mul_(*map(list, zip(*held, strict=True)))

    def _mask_optimizer_state(self) -> None:
        for layer in self.layers:
            mask_state(self.optimizer, layer.weight, layer.mask_OI)

    # ------------------------------------------------------------------ the stages of an update

    def _budgets(self, step: int) -> list[int]:
        densities = layer_densities(self._shapes, self._schedule(step), self.method.distribution)
        return [link_budget(*shape, density) for shape, density in zip(self._shapes, densities, strict=True)]

    def _pruned(self) -> list[Tensor]:
        """Masks at the density wanted now: pruned if it fell, untouched if not."""
        masks = [layer.mask_OI for layer in self.layers]
        budgets = self._budgets(self.steps)
        if sum(budgets) >= self.links:
            return masks
        density, rule = self.method.density, self._pruning_rule()
        scores, candidates = [], []
        for index, layer in enumerate(self.layers):
            # GMP: pruned weights compete with the magnitude they last had
            weight_OI = self._last_weight(layer) if density.readmit else layer.weight
            scores.append(link_scores(rule, weight_OI, self._stored_gradient(index)))
            candidates.append(torch.ones_like(layer.mask_OI) if density.readmit else layer.mask_OI)
        if density.prune_scope == "global":
            return self._not_empty(
                keep_highest_overall(
                    scores, candidates, sum(budgets), self._generator("prune", "all", self.layers[0].weight)
                ),
                "global pruning",
            )
        return [
            keep_highest(score, candidate, budget, self._generator("prune", layer.name, layer.weight))
            for score, candidate, budget, layer in zip(scores, candidates, budgets, self.layers, strict=True)
        ]

    def _pruning_rule(self) -> str:
        rule = self.method.density.prune or (self.method.removal.rule if self.method.removal else None)
        assert rule is not None  # Method checks it
        return rule

    def _removed(self, masks: list[Tensor], budgets: list[int], zeta: float) -> list[Tensor]:
        removal = self.method.removal
        assert removal is not None
        return [
            mask
            if layer.frozen
            else remove(
                mask,
                torch.where(mask, self._last_weight(layer), 0),  # without what was pruned just before
                self._stored_gradient(index),
                rule=removal.rule,
                exponent=self._exponent(removal),
                keep=budget - round(zeta * budget),
                generator=self._generator("remove", layer.name, layer.weight),
            )
            for index, (layer, mask, budget) in enumerate(zip(self.layers, masks, budgets, strict=True))
        ]

    def _last_weight(self, layer: SparseLayer) -> Tensor:
        """The weights of the links and, with `history_weights`, those that absent links last had."""
        if layer.history_OI is None:
            return layer.weight
        return torch.where(layer.mask_OI, layer.weight, layer.history_OI)

    def _exponent(self, removal: Removal) -> float | None:
        if removal.soft is None:
            return None
        return soft_exponent(removal.soft.delta_start, removal.soft.delta_end, self.steps / self.total_steps)

    def _percolate(self, layers: list[SparseLayer], masks: list[Tensor]) -> list[Tensor]:
        """Masks without the links of inactive neurons; layers that stopped evolving keep theirs."""
        active = percolate({layer.name: mask for layer, mask in zip(layers, masks, strict=True)}, self._chains)
        self._not_empty(list(active.values()), "percolation")
        return [mask if layer.frozen else active[layer.name] for layer, mask in zip(layers, masks, strict=True)]

    def _not_empty(self, masks: list[Tensor], cause: str) -> list[Tensor]:
        for layer, mask in zip(self.layers, masks, strict=True):
            if not mask.any():
                raise UserError(
                    f"{cause} leaves layer '{layer.name}' without a link after step {self.steps}: nothing passes it; use "
                    f"wider layers or a sparsity below {self.method.sparsity:g}"
                )
        return masks

    def _regrown(self, kept: list[Tensor], budgets: list[int]) -> list[Tensor]:
        regrowth = self.method.regrowth
        assert regrowth is not None
        return [
            torch.zeros_like(mask)
            if layer.frozen
            else regrow(
                mask,
                self._stored_gradient(index),
                rule=regrowth.rule,
                soft=regrowth.soft,
                count=budget - int(mask.sum()),
                generator=self._generator("regrow", layer.name, layer.weight),
            )
            for index, (layer, mask, budget) in enumerate(zip(self.layers, kept, budgets, strict=True))
        ]

    def _install(self, kept: list[Tensor], grown: list[Tensor]) -> list[tuple[int, int]]:
        """Make kept and grown the masks; returns (|removed and regrown|, |regrown|) of every layer."""
        overlaps = []
        for layer, kept_OI, grown_OI in zip(self.layers, kept, grown, strict=True):
            before_OI, after_OI = layer.mask_OI, kept_OI | grown_OI
            carried_OI = kept_OI & before_OI  # links that never left keep weight and momentum
            if layer.history_OI is not None:
                layer.history_OI.copy_(self._last_weight(layer))
                layer.weight.copy_(torch.where(after_OI, layer.history_OI, 0))
            else:
                layer.weight.mul_(carried_OI)
            mask_state(self.optimizer, layer.weight, carried_OI)
            overlaps.append((int((before_OI & grown_OI).sum()), int(grown_OI.sum())))
            layer.set_mask(after_OI)
            layer.ever_OI |= after_OI
            again, regrown = overlaps[-1]
            if self.method.early_stop is not None and regrown and again / regrown > self.method.early_stop:
                layer.frozen = True
        self._mask_gradients()
        return overlaps

    def _stored_gradient(self, index: int) -> Tensor | None:
        return self._dense_gradients[index] if self._dense_gradients is not None else None

    def _generator(self, what: str, layer: str, like: Tensor) -> torch.Generator:
        return generator(self.seed, what, layer, self.steps, device=like.device)

    def _record(self, zeta: float, overlaps: list[tuple[int, int]]) -> UpdateRecord:
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
                    "density": layer.links / layer.mask_OI.numel(),
                    "overlap": again / regrown if regrown else None,
                    "frozen": layer.frozen,
                }
                for layer, (again, regrown) in zip(self.layers, overlaps, strict=True)
            },
        )

    # ------------------------------------------------------------------ save and resume

    def state_dict(self) -> dict[str, Any]:
        """Masks as bits, counters and records: plain values and tensors, loadable with `weights_only=True`.

        Weights and optimizer state are the model's and the optimizer's own.
        """
        return {
            "training": self._training(),
            "steps": self.steps,
            "link_steps": self.link_steps,
            "records": [asdict(record) for record in self.records],
            "layers": {
                layer.name: {
                    "mask": pack(layer.mask_OI),
                    "ever": pack(layer.ever_OI),
                    "history": layer.history_OI,
                    "frozen": layer.frozen,
                }
                for layer in self.layers
            },
        }

    def _training(self) -> dict[str, int]:
        """What draws and schedules depend on besides the state."""
        return {"seed": self.seed, "total_steps": self.total_steps, "update_interval": self.update_interval}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; raises UserError when it is another training's: other layers, seed or length.

        Take the state after `step`, not between its two halves: the gradient that an update reads is not in it.
        """
        if state["training"] != self._training():
            raise UserError(
                f"the saved training is {state['training']}, this one {self._training()}: resume it as it began"
            )
        if list(state["layers"]) != [layer.name for layer in self.layers]:
            raise UserError(f"the saved sparse layers are {list(state['layers'])}, this model's {list(self.masks)}")
        self.steps, self.link_steps = state["steps"], state["link_steps"]
        self.records = [UpdateRecord(**record) for record in state["records"]]
        for layer in self.layers:
            saved = state["layers"][layer.name]
            layer.set_mask(unpack(saved["mask"], layer.mask_OI))
            layer.ever_OI = unpack(saved["ever"], layer.mask_OI)
            layer.frozen = saved["frozen"]
            if layer.history_OI is not None:
                layer.history_OI.copy_(saved["history"])
