"""What a run costs, from its description alone: parameters, non-zeros and training FLOPs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.families import Length
from chtexp.sparse.schedules import DensitySchedule, TooShort


@dataclass(frozen=True)
class Cost:
    """parameters: of the dense model. nonzeros: at the final density. FLOPs: of the whole training.

    FLOPs count two a weight for the forward pass and four for the backward pass, at every position (image, token), over
    the matrix products of linear layers; the sparse figure takes the density integral of the sparse ones.
    """

    parameters: int
    nonzeros: int
    dense_flops: float
    sparse_flops: float
    steps: int


def cost(run: Run) -> Cost:
    """The cost of `run`; raises UserError where its description cannot be trained."""
    with torch.device("meta"):
        built = run.family.build_model(run)
    length = run.family.length(run)
    sparse, dense = weight_counts(built.model, built.sparse_layers)
    parameters = sum(parameter.numel() for parameter in built.model.parameters())
    schedule = _schedule(run, length)
    mean_density = schedule.mean(length.total_steps, length.update_interval)
    per_weight = 6.0 * length.positions(length.total_steps)
    final = round(schedule.final * sparse)
    if final == 0:
        raise UserError(f"method.sparsity {run.method.sparsity} leaves no links in {sparse} pairs")
    return Cost(
        parameters=parameters,
        nonzeros=parameters - sparse + final,
        dense_flops=per_weight * (sparse + dense),
        sparse_flops=per_weight * (mean_density * sparse + dense),
        steps=length.total_steps,
    )


def _schedule(run: Run, length: Length) -> DensitySchedule:
    try:
        return run.method.schedule(length.total_steps, length.update_interval)
    except TooShort as error:
        raise UserError(f"{length.said}, and {error}") from None


def weight_counts(model: nn.Module, sparse_layers: list[str]) -> tuple[int, int]:
    """Weights of the linear layers that may be sparse, and of those that stay dense."""
    sizes = {name: module.weight.numel() for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    sparse = sum(sizes[name] for name in sparse_layers)
    return sparse, sum(sizes.values()) - sparse
