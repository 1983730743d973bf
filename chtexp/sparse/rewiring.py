"""Which links an update takes away and which it brings: prune, remove, percolate, regrow.

Shapes: O outputs, I inputs, K links of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chtexp.errors import UserError
from chtexp.randomness import generator
from chtexp.sparse.criteria import link_scores
from chtexp.sparse.distribution import layer_densities
from chtexp.sparse.layer import LinkState, SparseLayer
from chtexp.sparse.links import Links
from chtexp.sparse.method import Method
from chtexp.sparse.schedules import DensitySchedule, soft_exponent, step_at, zeta_at
from chtexp.sparse.update import keep_highest, keep_highest_overall, regrow, remove
from chtexp.topology import Junction, link_budget, percolate
from chtexp.topology.neighbours import count

Chain = Sequence[str] | Junction


@dataclass(frozen=True)
class Before:
    """The layers as an update finds them after `step` steps.

    gradients: the dense ones [O, I] that some rules read, of the last backward pass, before the last optimizer step; or none.
    """

    step: int
    layers: Sequence[SparseLayer]
    states: Sequence[LinkState]
    gradients: Sequence[Tensor] | None

    def gradient(self, index: int) -> Tensor | None:
        return self.gradients[index] if self.gradients is not None else None

    def weight_at(self, index: int, links: Links) -> Tensor:
        """The weights [K] of `links` and, of layers that keep them, those that absent links last had."""
        layer, state = self.layers[index], self.states[index]
        if layer.history_OI is not None:
            return links.take(layer.history_OI)
        return state.weight_K if links is state.links else state.weight_at(links)


class Rewiring:
    """A method's decisions over a training of `total_steps` on layers of these shapes.

    chains: which layers feed which. seed: decides every draw, together with the layer's name and the step.
    stopped: every layer is flagged by the early stop, so that links move no more; a falling density still takes some.
    """

    def __init__(
        self,
        method: Method,
        shapes: Sequence[tuple[int, int]],
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
        """Updates happen every `update_interval` steps, while links evolve or density falls, never after the last step."""
        if step % self._update_interval or not 0 < step < self._total_steps:
            return False
        return self.evolves(step) or self.schedule(step) < self.schedule(step - self._update_interval)

    def evolves(self, step: int) -> bool:
        """Whether links move, besides those that a falling density takes."""
        if self._method.removal is None or self.stopped or step > self._update_end:
            return False
        return self.schedule.core is None or step <= self.schedule.end_step

    def last_update(self, newest: int) -> int:
        """No update comes after so many steps. newest: the steps before the newest update so far."""
        return max(newest, self.schedule.end_step) if self.stopped else self._last_update

    def zeta(self, step: int) -> float:
        """The share of links that an update removes."""
        method, core = self._method, self.schedule.core
        if not self.evolves(step):
            return 0.0
        if core is not None:
            return 1 - core / self.schedule(step)
        return zeta_at(method.zeta, method.zeta_schedule, step, self._update_end)

    def budgets(self, step: int) -> list[int]:
        """Links that every layer has after an update."""
        return self._links_at(self.schedule(step))

    def kept(self, step: int, budgets: Sequence[int]) -> list[int]:
        """Links that every layer with these budgets keeps where an update removes: all but zeta of them, or the core."""
        if self.schedule.core is None:
            zeta = self.zeta(step)
            return [budget - round(zeta * budget) for budget in budgets]
        return [min(pair) for pair in zip(self._links_at(self.schedule.core), budgets, strict=True)]

    def _links_at(self, density: float) -> list[int]:
        densities = layer_densities(self._shapes, density, self._method.distribution)
        return [link_budget(*shape, share) for shape, share in zip(self._shapes, densities, strict=True)]

    def changed(self, before: Before) -> tuple[list[Tensor], list[Tensor]]:
        """Masks [O, I] of the links that stay, and of those that come."""
        budgeted = self._pruned(before)
        kept = [links.mask() for links in budgeted]
        if not self.evolves(before.step):
            return kept, [torch.zeros_like(mask) for mask in kept]
        budgets = [len(links) for links in budgeted]
        kept = self._removed(before, budgeted)
        if self._method.percolation:
            kept = self.percolated(before.layers, kept, before.step)
        return kept, self._regrown(before, kept, budgets)

    def percolated(self, layers: Sequence[SparseLayer], masks: Sequence[Tensor], step: int) -> list[Tensor]:
        """Masks without the links of inactive neurons.

        Raises UserError where that leaves a layer without a link.
        """
        active = percolate({layer.name: mask for layer, mask in zip(layers, masks, strict=True)}, self._chains)
        self._not_empty(layers, [count(mask) for mask in active.values()], "percolation", step)
        return list(active.values())

    # ------------------------------------------------------------------ the stages

    def _pruned(self, before: Before) -> list[Links]:
        """Links at the density wanted now: pruned if it fell, untouched if not."""
        layers, states, step = before.layers, before.states, before.step
        budgets = self.budgets(step)
        if sum(budgets) >= sum(len(state.links) for state in states):
            return [state.links for state in states]
        density, rule = self._method.density, self._pruning_rule()
        scores, candidates = [], []
        for index, (layer, state) in enumerate(zip(layers, states, strict=True)):
            # GMP: pruned weights compete with the magnitude they last had
            links = Links.all_pairs(layer.shape, layer.weight.device) if density.readmit else state.links
            scores.append(link_scores(rule, before.weight_at(index, links), before.gradient(index), links))
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
        self._not_empty(layers, [len(links) for links in pruned], "global pruning", step)
        return pruned

    def _pruning_rule(self) -> str:
        rule = self._method.density.prune or (self._method.removal.rule if self._method.removal else None)
        assert rule is not None  # Method checks it
        return rule

    def _removed(self, before: Before, budgeted: Sequence[Links]) -> list[Tensor]:
        removal, step = self._method.removal, before.step
        assert removal is not None
        keeps = self.kept(step, [len(links) for links in budgeted])
        return [
            links.only(
                remove(
                    links,
                    before.weight_at(index, links),  # without what was pruned just before
                    before.gradient(index),
                    rule=removal.rule,
                    exponent=self._exponent(step),
                    keep=keep,
                    generator=self._generator("remove", layer, step),
                )
            ).mask()
            for index, (layer, links, keep) in enumerate(zip(before.layers, budgeted, keeps, strict=True))
        ]

    def _exponent(self, step: int) -> float | None:
        """The exponent of soft removal; None where removal is not soft."""
        soft = self._method.removal.soft if self._method.removal else None
        if soft is None:
            return None
        over = self._update_end if soft.schedule == "exponent" else self._total_steps
        return soft_exponent(soft.schedule, soft.delta_start, soft.delta_end, min(step / over, 1.0))

    def _regrown(self, before: Before, kept: Sequence[Tensor], budgets: Sequence[int]) -> list[Tensor]:
        regrowth = self._method.regrowth
        assert regrowth is not None
        return [
            regrow(
                mask,
                before.gradient(index),
                rule=regrowth.rule,
                soft=regrowth.soft,
                count=budget - count(mask),
                generator=self._generator("regrow", layer, before.step),
            )
            for index, (layer, mask, budget) in enumerate(zip(before.layers, kept, budgets, strict=True))
        ]

    def _not_empty(self, layers: Sequence[SparseLayer], counts: Sequence[int], cause: str, step: int) -> None:
        for layer, links in zip(layers, counts, strict=True):
            if not links:
                raise UserError(
                    f"{cause} leaves layer '{layer.name}' without a link after step {step}: nothing passes it; use "
                    f"wider layers or a sparsity below {self._method.sparsity:g}"
                )

    def _generator(self, what: str, layer: SparseLayer, step: int) -> torch.Generator:
        return generator(self._seed, what, layer.name, step, device=layer.weight.device)
