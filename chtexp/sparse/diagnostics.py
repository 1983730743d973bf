"""Measurements of the sparse layers of a network, now and after every topology update. They decide nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chtexp.sparse.layer import SparseLayer
from chtexp.topology import neuron_record
from chtexp.topology.percolation import active_rate

LayerRecord = dict[str, float | bool | list[int] | None]


@dataclass(frozen=True)
class UpdateRecord:
    """What one topology update did. All rates are in [0, 1].

    Attributes:
        step: optimizer steps before the update.
        density: links / pairs, after it.
        anp: active neuron post-percolation rate, after it.
        overlap: |removed and regrown| / |regrown|; None if nothing was regrown. It is near 1 in an epitopological local
            minimum.
        itop: pairs that were ever a link / pairs.
        zeta: the share of links that was to be removed.
        layers: by layer name: density, overlap, whether the early stop has flagged the layer, and what is known of its neurons
            (`chtexp.topology.neuron_record`).
    """

    step: int
    density: float
    anp: float
    overlap: float | None
    itop: float
    zeta: float
    layers: dict[str, LayerRecord]


@dataclass(frozen=True)
class Overlap:
    """How much of what an update grew in a layer it had just removed.

    Attributes:
        again: links that were both removed and regrown.
        regrown: links that were regrown.
    """

    again: int
    regrown: int

    @property
    def rate(self) -> float | None:
        """|removed and regrown| / |regrown|, in [0, 1]; None if nothing was regrown."""
        return self.again / self.regrown if self.regrown else None


@dataclass(frozen=True)
class Snapshot:
    """The sparse layers between two updates.

    Attributes:
        links: the number of links of all layers.
        anp: active neuron post-percolation rate, in [0, 1].
        itop: pairs that were ever a link / pairs, in [0, 1].
    """

    links: int
    anp: float
    itop: float

    @classmethod
    def of(cls, layers: Sequence[SparseLayer], pairs: int) -> Snapshot:
        """Measure the layers of a network.

        Args:
            layers: the sparse layers; none of a dense method, where every pair is a link.
            pairs: the number of pairs of all layers.

        Returns:
            The measurements.
        """
        if not layers:
            return cls(pairs, 1.0, 1.0)
        return cls(
            sum(layer.count for layer in layers),
            active_rate([layer.degrees for layer in layers]),
            sum(layer.ever_linked() for layer in layers) / pairs,
        )


def update_record(
    step: int, snapshot: Snapshot, layers: Mapping[SparseLayer, Overlap], *, density: float, zeta: float
) -> UpdateRecord:
    """Make the record of an update.

    Args:
        step: optimizer steps before the update.
        snapshot: the layers after it.
        layers: the overlap of every layer.
        density: links / pairs, after it.
        zeta: the share of links that was to be removed.

    Returns:
        The record.
    """
    overlaps = layers.values()
    return UpdateRecord(
        step=step,
        density=density,
        anp=snapshot.anp,
        overlap=Overlap(sum(one.again for one in overlaps), sum(one.regrown for one in overlaps)).rate,
        itop=snapshot.itop,
        zeta=zeta,
        layers={
            layer.name: {
                "density": layer.density,
                "overlap": overlap.rate,
                "flagged": layer.flagged,
                **neuron_record(layer.degrees),
            }
            for layer, overlap in layers.items()
        },
    )
