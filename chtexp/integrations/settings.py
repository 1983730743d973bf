"""What a callback needs to make a model sparse once its trainer has built model and optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chtexp.config.method import Method
from chtexp.errors import UserError
from chtexp.sparse import DynamicSparsity
from chtexp.sparse.wiring import Chain


@dataclass(frozen=True)
class Settings:
    """The arguments of `DynamicSparsity` that do not come from the trainer.

    Attributes:
        method: as `load_method` returns it.
        update_interval: optimizer steps between two topology updates.
        seed: decides every random choice.
        layers: the names of the sparse layers; None: all `nn.Linear`s but the last.
        chains: which layers feed which; None: as the model shows it.
        features: [N, F] training inputs, for the topology `csti`.
    """

    method: Method
    update_interval: int
    seed: int = 0
    layers: Sequence[str] | None = None
    chains: Sequence[Chain] | None = None
    features: Tensor | None = None

    def made(self, model: nn.Module, optimizer: torch.optim.Optimizer, total_steps: int) -> DynamicSparsity:
        """Make a model sparse, as matrices: trainers save and load its weights.

        Args:
            model: the model.
            optimizer: holds its weights.
            total_steps: optimizer steps of the whole training.

        Raises:
            UserError: what `DynamicSparsity` raises, or several processes, each with a model of its own.
        """
        if (
            torch.distributed.is_available()
            and torch.distributed.is_initialized()
            and torch.distributed.get_world_size() > 1
        ):
            raise UserError("the callback makes one process's model sparse: train in one process, or by chtexp train")
        return DynamicSparsity(
            model,
            optimizer,
            self.method,
            total_steps=total_steps,
            update_interval=self.update_interval,
            seed=self.seed,
            layers=self.layers,
            chains=self.chains,
            features=self.features,
        )


def logged(sparsity: DynamicSparsity) -> dict[str, float]:
    """Return what a trainer's log should have: links, density and the share of active neurons."""
    return {"links": float(sparsity.links), "density": sparsity.density, "anp": sparsity.anp()}
