"""What a run recorded, checked before it is drawn: a damaged file costs a figure that run's curve, not the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chtexp.report.figures.series import Record

QUANTILES = 5  # of the degrees of a layer's neurons


class LayersAt(NamedTuple):
    """What an update, at an optimizer step, recorded of each layer by name."""

    step: float
    layers: Mapping[str, Mapping[str, Any]]


def checked(records: Sequence[Any]) -> Sequence[Record]:
    """`records`, if they are what runs write. Raises ValueError for anything else where a number or a layer belongs."""
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
    """The topology updates in the order of time, each with the layers of which all `keys` are recorded.

    Those that know fewer layers than the last one are left out: a run that was begun with earlier code recorded less.
    """
    found = {
        float(record["step"]): {
            name: layer
            for name, layer in record.get("layers", {}).items()
            if all(layer.get(key) is not None for key in keys)
        }
        for record in records
        if record.get("kind") == "update"
    }
    every = [LayersAt(step, layers) for step, layers in sorted(found.items())]
    return [at for at in every if at.layers and at.layers.keys() == every[-1].layers.keys()]


def _is_layer(layer: object) -> bool:
    return isinstance(layer, Mapping) and all(
        _are_quantiles(value) if key.endswith("_degrees") else value is None or _is_number(value)
        for key, value in layer.items()
    )


def _are_quantiles(value: object) -> bool:
    return isinstance(value, list) and len(value) == QUANTILES and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
