"""What a run costs, from its description alone: parameters, non-zeros and training FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import torch
from torch import nn

from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.families import Length
from chtexp.sparse.schedules import DensitySchedule, TooShort
from chtexp.typed import Description

T = TypeVar("T")


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
    length = run.family.length(run)
    parameters, sparse, dense = counts_of(run)
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


class Counts(NamedTuple):
    """parameters: of the dense model. sparse, dense: weights of its linear layers that may be sparse, and of the others."""

    parameters: int
    sparse: int
    dense: int


def counts_of(run: Run) -> Counts:
    """Of the network of `run`: runs of other methods and lengths have the same, and a network of shapes takes a second."""
    return once_for((run.data, run.model, run.paths), "counts", lambda: _counts(run))


def _counts(run: Run) -> Counts:
    with torch.device("meta"):
        built = run.family.build_model(run)
    modules = built.model.named_modules()
    sizes = {name: module.weight.numel() for name, module in modules if isinstance(module, nn.Linear)}
    sparse = sum(sizes[name] for name in built.sparse_layers)
    parameters = sum(parameter.numel() for parameter in built.model.parameters())
    return Counts(parameters, sparse, sum(sizes.values()) - sparse)


def once_for(parts: Sequence[Description], what: str, make: Callable[[], T]) -> T:
    """`make()`, made once for these descriptions."""
    key = (what, *(part.model_dump_json() for part in parts))
    if key not in _MADE:
        _MADE[key] = make()
    return cast(T, _MADE[key])


_MADE: dict[tuple[str, ...], object] = {}
