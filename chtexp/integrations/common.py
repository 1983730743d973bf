"""What the callbacks of all trainers have in common: a model becomes sparse once its trainer has built model and optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from chtexp.config.method import Method
from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity
from chtexp.sparse.wiring import Chain


class Sparsifying:
    """The part of a callback that all trainers have in common.

    Args:
        method: as `load_method` returns it. Its `weight_init` draws the sparse weights anew; `own` keeps trained ones.
        update_interval: optimizer steps between two topology updates.
        seed: decides every random choice.
        layers: the names of the sparse layers; None: as of `DynamicSparsity`.
        chains: which layers feed which, for methods that percolate; None: as the model shows it.
        features: [N, F] training inputs, for the topology `csti`.

    Attributes:
        sparsity: of the model; None before the training begins.
    """

    def __init__(
        self,
        method: Method,
        *,
        update_interval: int,
        seed: int = 0,
        layers: Sequence[str] | None = None,
        chains: Sequence[Chain] | None = None,
        features: Tensor | None = None,
    ) -> None:
        self._method, self._update_interval, self._seed = method, update_interval, seed
        self._layers, self._chains, self._features = layers, chains, features
        self.sparsity: DynamicSparsity | None = None

    def _made(self, model: nn.Module, optimizer: torch.optim.Optimizer, total_steps: int) -> DynamicSparsity:
        """Make a model sparse, as matrices: trainers save and load its weights.

        Raises:
            UserError: what `DynamicSparsity` raises, or several processes, each with a model of its own.
        """
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise UserError("the callback makes one process's model sparse: train in one process, or by chtexp train")
        return DynamicSparsity(
            model,
            optimizer,
            self._method,
            total_steps=total_steps,
            update_interval=self._update_interval,
            seed=self._seed,
            layers=self._layers,
            chains=self._chains,
            features=self._features,
        )


def logged(sparsity: DynamicSparsity) -> dict[str, float]:
    """Return what a trainer's log should have: links, density and the share of active neurons."""
    return {"links": float(sparsity.links), "density": sparsity.density, "anp": sparsity.anp()}
