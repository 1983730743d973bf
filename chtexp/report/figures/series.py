"""What a run recorded over its training, as series of (step, value), by quantity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from chtexp.report.figures.style import logarithmic
from chtexp.report.statistics import mean_and_error

Record = Mapping[str, Any]
Points = tuple[tuple[float, float], ...]

LOGARITHMIC = 4  # highest over lowest value
METRIC = "metric"  # stands for whatever a run reports
INSTEAD = ("validation_perplexity", "perplexity", "accuracy", "validation_loss", "test_loss")


LABELS = {"accuracy": "accuracy (%)", "bleu": "BLEU"}


def label_of(metric: str) -> str:
    """A metric with its unit, as a reader knows it."""
    return LABELS.get(metric, metric.replace("_", " "))


class Quantity(NamedTuple):
    """label: with its unit. of: its value in a record, None where the record has none. key: its name in records."""

    label: str
    of: Callable[[Record], float | None]
    key: str
    percent: bool = False


def _percent(label: str, key: str) -> Quantity:
    return Quantity(label, lambda record: None if record.get(key) is None else 100 * float(record[key]), key, True)


QUANTITIES: dict[str, Quantity] = {
    "density": _percent("density (%)", "density"),
    "anp": _percent("ANP (%)", "anp"),
    "itop": _percent("ITOP rate (%)", "itop"),
    "overlap": _percent("overlap (%)", "overlap"),
    "train_loss": Quantity("training loss", lambda record: record.get("train_loss"), "train_loss"),
}


def metric_quantity(metric: str, runs: Sequence[Sequence[Record]]) -> Quantity:
    """What is followed over training: `metric` where it is recorded, else what was evaluated instead of it.

    A translation run, e.g., knows its BLEU at the end alone.
    """
    known = {key for records in runs for record in records for key in record}
    name = next((key for key in (metric, *INSTEAD) if key in known), metric)
    return Quantity(label_of(name), lambda record: record.get(name), name, name == "accuracy")


def quantity(name: str, metric: str, runs: Sequence[Sequence[Record]]) -> Quantity:
    """The quantity `name`: METRIC, or one of QUANTITIES."""
    return metric_quantity(metric, runs) if name == METRIC else QUANTITIES[name]


def series(records: Sequence[Record], of: Callable[[Record], float | None], against: str = "step") -> Points:
    """The finite values of one run in the order of time; of two records at a step the later counts.

    against: the key of the horizontal axis; records without it are passed over.
    """
    found = {
        float(record[against]): float(value)
        for record in records
        if record.get(against) is not None and (value := of(record)) is not None
    }
    return tuple(sorted(point for point in found.items() if all(map(math.isfinite, point))))


class Band(NamedTuple):
    """The mean over runs where all of them have a value, and its standard error (0 of one run)."""

    places: tuple[float, ...]
    means: tuple[float, ...]
    errors: tuple[float, ...]


def over_seeds(runs: Sequence[Points]) -> Band:
    """One line of several seeds."""
    runs = [run for run in runs if run]
    values = [dict(run) for run in runs]
    places = tuple(place for place, _ in runs[0] if all(place in value for value in values)) if runs else ()
    columns = [[value[place] for value in values] for place in places]
    errors = tuple(mean_and_error(column).standard_error or 0.0 for column in columns)
    return Band(places, tuple(map(fmean, columns)), errors)


def fit_scale(axes: Any, wanted: Quantity, beside: Sequence[float] = ()) -> None:
    """Percents end at 100; a perplexity that falls to a fraction is seen on a logarithmic axis only.

    beside: values that will stand beside the lines, at heights that must be seen as well.
    """
    values = [*beside, *(value for drawn in axes.lines for value in drawn.get_ydata())]
    if not values:
        return
    if beside:
        axes.update_datalim([(0, value) for value in beside], updatex=False)
        axes.autoscale_view(scalex=False)
    if wanted.percent:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -4.0), min(high, 100 + 0.04 * (100 - low)))
    elif min(values) > 0 and max(values) > LOGARITHMIC * min(values):
        logarithmic(axes, "y")
