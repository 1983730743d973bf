"""What a run recorded, checked before it is drawn: a damaged file costs a figure that run's curve, not the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chtexp.report.figures.series import Record, number_of

Layer = Mapping[str, object]  # what was recorded of one layer, by name
Quantiles = tuple[float, float, float, float, float]  # lowest, quartiles, highest
QUANTILES = 5  # of the degrees of a layer's neurons


class LayersAt(NamedTuple):
    """What one topology update recorded of each layer.

    Attributes:
        step: the optimizer step of the update.
        layers: the records of the layers, by name.
    """

    step: float
    layers: Mapping[str, Layer]


def checked(records: Sequence[Record]) -> Sequence[Record]:
    """Check that records are what runs write.

    Args:
        records: the lines of a `metrics.jsonl`.

    Returns:
        The same records.

    Raises:
        ValueError: a record without a step, or with something else where a number or a layer belongs.
    """
    for record in records:
        if not isinstance(record, Mapping) or not _is_number(record.get("step")):
            raise ValueError(f"no record of a step: {record}")
        layers = record.get("layers", {})
        if not isinstance(layers, Mapping) or not all(map(_is_layer, layers.values())):
            raise ValueError(f"no layers in the record of step {record['step']}")
        for key, value in record.items():
            if key not in ("kind", "layers") and value is not None and not _is_number(value):
                raise ValueError(f"{key} is no number at step {record['step']}: {value}")
    return records


def updates(records: Sequence[Record], *keys: str) -> list[LayersAt]:
    """Collect the topology updates in the order of time, each with the layers that recorded all of `keys`.

    Updates with fewer layers than the last one are left out: a run that was begun with earlier code recorded less.

    Args:
        records: the lines of a `metrics.jsonl`.
        keys: what a layer must have recorded.

    Returns:
        The updates that have such layers.
    """
    found = {
        step: {
            name: layer for name, layer in _layers(record).items() if all(layer.get(key) is not None for key in keys)
        }
        for record in records
        if record.get("kind") == "update" and (step := number_of(record, "step")) is not None
    }
    every = [LayersAt(step, layers) for step, layers in sorted(found.items())]
    return [at for at in every if at.layers and at.layers.keys() == every[-1].layers.keys()]


def share(layer: Layer, key: str) -> float:
    """The share in [0, 1] that a layer recorded under `key`.

    Raises:
        ValueError: there is no number.
    """
    value = number_of(layer, key)
    if value is None:
        raise ValueError(f"{key} is no number: {layer.get(key)}")
    return value


def quantiles(layer: Layer, key: str) -> Quantiles:
    """The quantiles of degrees, in links, that a layer recorded under `key`.

    Raises:
        ValueError: there are no five numbers.
    """
    value = layer.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} are no quantiles: {value}")
    lowest, lower, median, upper, highest = map(float, value)
    return lowest, lower, median, upper, highest


def _layers(record: Record) -> Mapping[str, Layer]:
    layers = record.get("layers", {})
    return layers if isinstance(layers, Mapping) else {}


def _is_layer(layer: object) -> bool:
    return isinstance(layer, Mapping) and all(
        _are_quantiles(value) if key.endswith("_degrees") else value is None or _is_number(value)
        for key, value in layer.items()
    )


def _are_quantiles(value: object) -> bool:
    return isinstance(value, list) and len(value) == QUANTILES and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
