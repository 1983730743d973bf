"""What a run costs, from its description alone: parameters, non-zeros and training FLOPs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chtexp.config.images import ImageDataConfig
from chtexp.config.models import Counts, LlamaConfig, MLPConfig, TransformerConfig
from chtexp.config.run import Length, Run
from chtexp.config.schedules import DensitySchedule, TooShort
from chtexp.config.text import TextDataConfig
from chtexp.config.translation import TranslationDataConfig
from chtexp.errors import UserError


@dataclass(frozen=True)
class Cost:
    """What a run costs.

    FLOPs count two for each weight in the forward pass and four in the backward pass, at every position (image, token), over the
    matrix products of linear layers; the sparse figure takes the density integral of the sparse ones.

    Attributes:
        parameters: of the dense model.
        nonzeros: at the final density.
        dense_flops: of the whole training of the dense model.
        sparse_flops: of the whole training.
        steps: optimizer steps of the whole training.
    """

    parameters: int
    nonzeros: int
    dense_flops: float
    sparse_flops: float
    steps: int


def cost(run: Run) -> Cost:
    """Estimate what a run costs from its description alone.

    Raises:
        UserError: the description cannot be trained.
    """
    length = run.length
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


def counts_of(run: Run) -> Counts:
    """Count the network of a run.

    Networks for text need the sizes of vocabularies, which are known once data are prepared. Until then the largest possible
    ones stand for them.

    Args:
        run: the run.

    Returns:
        The size of the network.

    Raises:
        TypeError: no family has such data and such a model.
    """
    match run.data, run.model:
        case ImageDataConfig() as data, MLPConfig() as network:
            return network.counts(math.prod(data.shape), data.classes)
        case TranslationDataConfig() as data, TransformerConfig() as network:
            from chtexp.data.translation import vocabulary_sizes  # loads torch, which images do without

            return network.counts(*vocabulary_sizes(data, run.paths.data, run.paths.cache))
        case TextDataConfig() as data, LlamaConfig() as network:
            from chtexp.data.text import vocabulary_size  # likewise

            return network.counts(vocabulary_size(data, run.paths.data, run.paths.cache))
    raise TypeError(f"no family has {run.data.family} data and a {run.model.name}")
