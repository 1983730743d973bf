"""Which links an update removes and which it grows: prune, remove, percolate, regrow.

Shapes: O outputs, I inputs, K links of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from chtexp.config.distribution import layer_densities
from chtexp.config.method import Method
from chtexp.config.schedules import DensitySchedule, soft_exponent, step_at, zeta_at
from chtexp.errors import UserError
from chtexp.randomness import generator
from chtexp.sparse.criteria import link_scores
from chtexp.sparse.layer import LinkState, SparseLayer
from chtexp.sparse.links import Links
from chtexp.sparse.own_rules import Readable
from chtexp.sparse.update import keep_highest, keep_highest_overall, regrow, remove
from chtexp.sparse.wiring import Chain
from chtexp.topology import link_budget
from chtexp.topology.percolation import percolate_links


@dataclass(frozen=True)
class UpdateInputs:
    """The layers before an update.

    Attributes:
        step: optimizer steps so far.
        layers: the sparse layers.
        states: what their links carry.
        gradients: [O, I] of each layer, the dense gradients that some rules read, by the last backward pass, before the last
            optimizer step; None: no rule reads them.
    """

    step: int
    layers: Sequence[SparseLayer]
    states: Sequence[LinkState]
    gradients: Sequence[Tensor] | None

    def gradient(self, index: int) -> Tensor | None:
        """Return the dense gradient [O, I] of the layer at `index`, if there is one."""
        return self.gradients[index] if self.gradients is not None else None

    def weight_at(self, index: int, links: Links) -> Tensor:
        """Look up the weights of links in one layer.

        Args:
            index: of the layer.
            links: the links, K of them; some may be absent.

        Returns:
            [K]; of absent links the last weight, where the layer keeps it, or else zero.
        """
        layer, state = self.layers[index], self.states[index]
        if layer.history_OI is not None:
            return links.take(layer.history_OI)
        return state.weight_K if links is state.links else state.weight_at(links)


class Rewiring:
    """The decisions of a method in the course of a training.

    Args:
        method: the method.
        shapes: of the layers' weights: (outputs, inputs), or (out channels, in channels, *kernel).
        chains: which layers feed which.
        total_steps: optimizer steps of the whole training.
        update_interval: optimizer steps between two topology updates.
        seed: decides every random choice, together with the layer's name and the step.

    Attributes:
        schedule: the overall density as a function of the step.
        stopped: whether the early stop has flagged every layer. Then no link moves any more, but a falling density still
            removes links.
    """

    def __init__(
        self,
        method: Method,
        shapes: Sequence[tuple[int, ...]],
        chains: Sequence[Chain],
        *,
        total_steps: int,
        update_interval: int,
        seed: int,
    ) -> None:
        self._method, self._shapes, self._chains, self._seed = method, shapes, chains, seed
        self._total_steps, self._update_interval = total_steps, update_interval
        self._update_end = step_at(method.update_end, total_steps)
        self.schedule: DensitySchedule = method.schedule(total_steps, update_interval)
        self._last_update = method.last_update(total_steps, update_interval)
        self.stopped = False

    def due(self, step: int) -> bool:
        """Tell whether an update comes after a step.

        Updates come every `update_interval` steps while links evolve or the density falls, but never after the last step.

        Args:
            step: optimizer steps so far.

        Returns:
            Whether an update comes now.
        """
        if step % self._update_interval or not 0 < step < self._total_steps:
            return False
        return self.evolves(step) or self.schedule(step) < self.schedule(step - self._update_interval)

    def evolves(self, step: int) -> bool:
        """Tell whether an update after `step` steps moves links, besides removing those that a falling density takes."""
        if self._method.removal is None or self.stopped or step > self._update_end:
            return False
        return self.schedule.core is None or step <= self.schedule.end_step

    def last_update(self, newest: int) -> int:
        """Find the number of steps after which no more update comes.

        Args:
            newest: optimizer steps before the newest update so far.

        Returns:
            Optimizer steps, as far as is known now.
        """
        return max(newest, self.schedule.end_step) if self.stopped else self._last_update

    def zeta(self, step: int) -> float:
        """Return the share of links, in [0, 1], that an update after `step` steps removes."""
        method, core = self._method, self.schedule.core
        if not self.evolves(step):
            return 0.0
        if core is not None:
            return 1 - core / self.schedule(step)
        return zeta_at(method.zeta, method.zeta_schedule, step, self._update_end)

    def budgets(self, step: int) -> list[int]:
        """Count the links that every layer has after an update at `step`."""
        return self._links_at(self.schedule(step))

    def kept(self, step: int, budgets: Sequence[int]) -> list[int]:
        """Count the links that every layer keeps when an update removes: all but a share of zeta, or the core.

        Args:
            step: optimizer steps before the update.
            budgets: the links that every layer has after the update.

        Returns:
            The number for every layer.
        """
        if self.schedule.core is None:
            zeta = self.zeta(step)
            return [budget - round(zeta * budget) for budget in budgets]
        return [min(pair) for pair in zip(self._links_at(self.schedule.core), budgets, strict=True)]

    def _links_at(self, density: float) -> list[int]:
        densities = layer_densities(self._shapes, density, self._method.distribution)
        return [
            link_budget(shape[0], math.prod(shape[1:]), share)
            for shape, share in zip(self._shapes, densities, strict=True)
        ]

    def changed(self, before: UpdateInputs) -> tuple[list[Links], list[Links]]:
        """Decide on an update: prune, remove, percolate and regrow.

        Args:
            before: the layers before it.

        Returns:
            The links of every layer that stay, and those that are grown.

        Raises:
            UserError: a layer would be left without a link.
        """
        budgeted = self._pruned(before)
        if not self.evolves(before.step):
            return budgeted, [Links.none(links.shape, links.positions_K.device) for links in budgeted]
        budgets = [len(links) for links in budgeted]
        kept = self._removed(before, budgeted)
        if self._method.percolation:
            kept = self.percolated(before.layers, kept, before.step)
        return kept, self._regrown(before, kept, budgets)

    def percolated(self, layers: Sequence[SparseLayer], kept: Sequence[Links], step: int) -> list[Links]:
        """Take away the links of inactive neurons.

        Args:
            layers: the sparse layers.
            kept: the links of every layer.
            step: optimizer steps so far, for the message.

        Returns:
            The links of every layer that are left.

        Raises:
            UserError: a layer would be left without a link.
        """
        by_name = {layer.name: links for layer, links in zip(layers, kept, strict=True)}
        active = percolate_links(by_name, self._chains, {layer.name: layer.columns for layer in layers})
        percolated = [Links(active[layer.name], layer.shape) for layer in layers]
        self._not_empty(layers, percolated, "percolation", step)
        return percolated

    # ------------------------------------------------------------------ the stages

    def _pruned(self, before: UpdateInputs) -> list[Links]:
        """The links at the present density of the schedule: pruned if it fell, or else unchanged."""
        layers, states, step = before.layers, before.states, before.step
        budgets = self.budgets(step)
        if sum(budgets) >= sum(len(state.links) for state in states):
            return [state.links for state in states]
        density, rule = self._method.density, self._pruning_rule()
        scores, candidates = [], []
        for index, (layer, state) in enumerate(zip(layers, states, strict=True)):
            # GMP: pruned weights compete with the magnitude they last had
            links = Links.all_pairs(layer.shape, layer.weight.device) if density.readmit else state.links
            own_draws = partial(self._generator, "prune scores", layer, step)
            weight_K, gradient_OI = before.weight_at(index, links), before.gradient(index)
            scores.append(link_scores(rule, weight_K, gradient_OI, links, self._pruning_parameters(), own_draws))
            candidates.append(links)
        if density.prune_scope == "global":
            everywhere = generator(self._seed, "prune", "all", step, device=layers[0].weight.device)
            chosen = keep_highest_overall(scores, sum(budgets), everywhere)
        else:
            chosen = [
                keep_highest(score, budget, self._generator("prune", layer, step))
                for score, budget, layer in zip(scores, budgets, layers, strict=True)
            ]
        pruned = [links.only(chosen_K) for links, chosen_K in zip(candidates, chosen, strict=True)]
        self._not_empty(layers, pruned, "global pruning", step)
        return pruned

    def _pruning_rule(self) -> str:
        rule = self._method.density.prune or (self._method.removal.rule if self._method.removal else None)
        assert rule is not None  # Method checks it
        return rule

    def _pruning_parameters(self) -> Mapping[str, object]:
        removal = self._method.removal
        return removal.parameters if removal and self._method.density.prune is None else {}

    def _removed(self, before: UpdateInputs, budgeted: Sequence[Links]) -> list[Links]:
        removal, step = self._method.removal, before.step
        assert removal is not None
        keeps = self.kept(step, [len(links) for links in budgeted])
        return [
            links.only(
                remove(
                    links,
                    before.weight_at(index, links),  # without those that were just pruned
                    before.gradient(index),
                    rule=removal.rule,
                    parameters=removal.parameters,
                    exponent=self._exponent(step),
                    keep=keep,
                    generator=self._generator("remove", layer, step),
                    own_draws=partial(self._generator, "remove scores", layer, step),
                )
            )
            for index, (layer, links, keep) in enumerate(zip(before.layers, budgeted, keeps, strict=True))
        ]

    def _exponent(self, step: int) -> float | None:
        """The exponent of soft removal; None if removal is not soft."""
        soft = self._method.removal.soft if self._method.removal else None
        if soft is None:
            return None
        over = self._update_end if soft.schedule == "exponent" else self._total_steps
        return soft_exponent(soft.schedule, soft.delta_start, soft.delta_end, min(step / over, 1.0))

    def _regrown(self, before: UpdateInputs, kept: Sequence[Links], budgets: Sequence[int]) -> list[Links]:
        regrowth = self._method.regrowth
        assert regrowth is not None
        return [
            regrow(
                links,
                before.gradient(index),
                rule=regrowth.rule,
                parameters=regrowth.parameters,
                soft=regrowth.soft,
                count=budget - len(links),
                generator=self._generator("regrow", layer, before.step),
                readable=Readable(
                    links,
                    partial(before.weight_at, index, links),
                    before.gradient(index),
                    partial(self._generator, "regrow scores", layer, before.step),
                ),
            )
            for index, (layer, links, budget) in enumerate(zip(before.layers, kept, budgets, strict=True))
        ]

    def _not_empty(self, layers: Sequence[SparseLayer], left: Sequence[Links], cause: str, step: int) -> None:
        for layer, links in zip(layers, left, strict=True):
            if not len(links):
                raise UserError(
                    f"{cause} leaves layer '{layer.name}' without a link after step {step}: nothing passes it; use "
                    f"wider layers or a sparsity below {self._method.sparsity:g}"
                )

    def _generator(self, what: str, layer: SparseLayer, step: int) -> torch.Generator:
        return generator(self._seed, what, layer.name, step, device=layer.weight.device)
