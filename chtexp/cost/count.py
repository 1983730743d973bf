"""What a run costs, from its description alone: parameters, non-zeros and training FLOPs."""

from __future__ import annotations

from dataclasses import dataclass

from chtexp.config.distribution import layer_densities
from chtexp.config.images import ImageDataConfig
from chtexp.config.models import Counts, ImageNetwork, Layer, LlamaConfig, TransformerConfig
from chtexp.config.own_parts import OwnNetwork
from chtexp.config.run import Length, Run
from chtexp.config.schedules import DensitySchedule, TooShort
from chtexp.config.text import TextDataConfig
from chtexp.config.translation import TranslationDataConfig
from chtexp.errors import UserError


@dataclass(frozen=True)
class Cost:
    """What a run costs.

    FLOPs count two for each weight in the forward pass and four in the backward pass, at every position (image, token; in a
    convolution, at every pixel of its output), over the matrix products of linear layers; the sparse figure takes the density
    integral of the sparse ones.

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
    counts = counts_of(run)
    parameters, sparse = counts.parameters, counts.sparse
    schedule = _schedule(run, length)
    per_weight = 6.0 * length.positions(length.total_steps)
    final = round(schedule.final * sparse)
    if final == 0:
        raise UserError(f"method.sparsity {run.method.sparsity} leaves no links in {sparse} pairs")
    return Cost(
        parameters=parameters,
        nonzeros=parameters - sparse + final,
        dense_flops=per_weight * _products(counts, 1.0, run),
        sparse_flops=per_weight * _mean_products(counts, run, schedule, length),
        steps=length.total_steps,
    )


def _products(counts: Counts, density: float, run: Run) -> float:
    """Multiplications at one position, in a forward pass at a density."""
    if not counts.layers:
        return density * counts.sparse + counts.dense
    sparse = [layer for layer in counts.layers if layer.sparse]
    densities = layer_densities([layer.shape for layer in sparse], density, run.method.distribution)
    of_sparse = sum(share * layer.weights * layer.uses for share, layer in zip(densities, sparse, strict=True))
    return of_sparse + sum(layer.weights * layer.uses for layer in counts.layers if not layer.sparse)


def _mean_products(counts: Counts, run: Run, schedule: DensitySchedule, length: Length) -> float:
    """Their mean over the training. Where pruning is global, layers are taken to keep the share that they begin with."""
    total, interval = length.total_steps, length.update_interval
    if run.method.distribution == "uniform" or not counts.layers:  # then they are linear in the density
        return _products(counts, schedule.mean(total, interval), run)
    spans = ((step, min(interval, total - step)) for step in range(0, total, interval))
    return sum(_products(counts, schedule(step), run) * steps for step, steps in spans) / total


def _schedule(run: Run, length: Length) -> DensitySchedule:
    try:
        return run.method.schedule(length.total_steps, length.update_interval)
    except TooShort as error:
        raise UserError(f"{length.said}, and {error}") from None


def layers_of(run: Run) -> tuple[Layer, ...]:
    """List the layers of a run's network, where some are applied more than once to a position; () where none is."""
    if isinstance(run.data, ImageDataConfig) and isinstance(run.model, ImageNetwork):
        return _of_images(run.model, run.data).layers
    return ()


def _of_images(network: ImageNetwork, data: ImageDataConfig) -> Counts:
    if isinstance(network, OwnNetwork):
        from chtexp.cost.own_networks import counts_of_own  # loads torch, which the network itself takes, too

        return counts_of_own(network, data.shape, data.classes)
    return network.counts(data.shape, data.classes)


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
        case ImageDataConfig() as data, ImageNetwork() as network:
            return _of_images(network, data)
        case TranslationDataConfig() as data, TransformerConfig() as network:
            from chtexp.data.translation import vocabulary_sizes  # loads torch, which images do without

            return network.counts(*vocabulary_sizes(data, run.paths.data, run.paths.cache))
        case TextDataConfig() as data, LlamaConfig() as network:
            from chtexp.data.text import vocabulary_size  # likewise

            return network.counts(vocabulary_size(data, run.paths.data, run.paths.cache))
    raise TypeError(f"no family has {run.data.family} data and a {run.model.name}")
