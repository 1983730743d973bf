"""Results of schema 1, which do not state their schema: what their words mean, and what of them can be checked."""

from __future__ import annotations

import re

from chtexp.store.records import Plain

# by which the sentences told of data that are not the paper's, a part of them standing in for all, too
STAND_IN = re.compile(r"stand-in|JPEG|\d+ of \d+ (training|validation) files")


def deviations(data_source: object) -> tuple[str, ...]:
    """How the data differ from the paper's, by the sentence that says where they come from."""
    source = data_source if isinstance(data_source, str) else ""
    return (f"stand-in data ({source.partition(':')[0]})",) if STAND_IN.search(source) else ()


def contradiction(values: Plain) -> str | None:
    """Find where a result without a checksum says two different things of one number or name; None where it is consistent."""
    best = str(values.get("selected_by")).startswith("test ")
    twice = [("reported", "best" if best else "validation_selected")]
    metrics, metric = values.get("metrics"), values.get("metric")
    pairs = [(name, values[name], other, values[other]) for name, other in twice if name in values and other in values]
    if isinstance(metrics, dict) and metric in metrics:
        name = "last" if values.get("last") is not None else "reported"
        pairs.append((name, values.get(name), f"metrics.{metric}", metrics[metric]))
    science = values.get("science")
    for name in ("data", "method", "budget"):
        part = science.get(name) if isinstance(science, dict) else None
        if isinstance(part, dict) and "name" in part:
            pairs.append((name, values.get(name), f"science.{name}.name", part["name"]))
    wrong = next((pair for pair in pairs if pair[1] != pair[3]), None)
    return wrong and "contradicts itself: {} is {!r}, and {} is {!r}".format(*wrong)
