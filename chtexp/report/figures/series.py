"""What a run recorded over its training, as series of (step, value), by quantity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chtexp.report.figures.style import logarithmic
from chtexp.report.statistics import mean_and_error
from chtexp.store.records import Plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Plain  # a line of `metrics.jsonl`
Points = tuple[tuple[float, float], ...]

LOGARITHMIC = 4  # highest over lowest value
METRIC = "metric"  # stands for whatever a run reports
INSTEAD = ("validation_perplexity", "perplexity", "accuracy", "validation_loss", "test_loss")


LABELS = {"accuracy": "accuracy (%)", "bleu": "BLEU"}


def label_of(metric: str) -> str:
    """A metric with its unit, as a reader knows it."""
    return LABELS.get(metric, metric.replace("_", " "))


class Quantity(NamedTuple):
    """A quantity that runs record over training.

    Attributes:
        label: its name with its unit.
        of: its value in a record, in that unit; None where the record has none.
        key: its name in records.
        percent: whether it is in percent, so that its axis ends at 100.
    """

    label: str
    of: Callable[[Record], float | None]
    key: str
    percent: bool = False


def number_of(record: Record, key: str) -> float | None:
    """The number that a record has under `key`; None where it has none."""
    value = record.get(key)
    return float(value) if isinstance(value, int | float) else None


def _percent(label: str, key: str) -> Quantity:
    def of(record: Record) -> float | None:
        share = number_of(record, key)
        return None if share is None else 100 * share

    return Quantity(label, of, key, True)


QUANTITIES: dict[str, Quantity] = {
    "density": _percent("density (%)", "density"),
    "anp": _percent("ANP (%)", "anp"),
    "itop": _percent("ITOP rate (%)", "itop"),
    "overlap": _percent("overlap (%)", "overlap"),
    "train_loss": Quantity("training loss", lambda record: number_of(record, "train_loss"), "train_loss"),
}


def metric_quantity(metric: str, runs: Sequence[Sequence[Record]]) -> Quantity:
    """Choose what is followed over training: `metric` where it is recorded, otherwise what was evaluated instead of it.

    A translation run, for example, knows its BLEU only at the end.

    Args:
        metric: the metric that runs report.
        runs: the records of each run.

    Returns:
        The quantity.
    """
    known = {key for records in runs for record in records for key in record}
    name = next((key for key in (metric, *INSTEAD) if key in known), metric)
    return Quantity(label_of(name), lambda record: number_of(record, name), name, name == "accuracy")


def quantity(name: str, metric: str, runs: Sequence[Sequence[Record]]) -> Quantity:
    """Find the quantity `name`.

    Args:
        name: METRIC, or a key of QUANTITIES.
        metric: the metric that runs report.
        runs: the records of each run.

    Returns:
        The quantity.
    """
    return metric_quantity(metric, runs) if name == METRIC else QUANTITIES[name]


def series(records: Sequence[Record], of: Callable[[Record], float | None], against: str = "step") -> Points:
    """Collect the finite values of one run in the order of time; of two records at a step the later one counts.

    Args:
        records: the records of the run.
        of: the value in a record, or None.
        against: the key of the horizontal axis; records without it are passed over.

    Returns:
        Points (place on that axis, value).
    """
    found = {
        place: value
        for record in records
        if (place := number_of(record, against)) is not None and (value := of(record)) is not None
    }
    return tuple(sorted(point for point in found.items() if all(map(math.isfinite, point))))


class Band(NamedTuple):
    """The mean over runs, where all of them have a value, and its standard error.

    Attributes:
        places: on the horizontal axis.
        means: the mean at each place.
        errors: the standard error of each mean; 0 for one run.
    """

    places: tuple[float, ...]
    means: tuple[float, ...]
    errors: tuple[float, ...]


def over_seeds(runs: Sequence[Points]) -> Band:
    """Average the points of several seeds; runs without points are passed over."""
    runs = [run for run in runs if run]
    values = [dict(run) for run in runs]
    places = tuple(place for place, _ in runs[0] if all(place in value for value in values)) if runs else ()
    columns = [[value[place] for value in values] for place in places]
    errors = tuple(mean_and_error(column).standard_error or 0.0 for column in columns)
    return Band(places, tuple(map(fmean, columns)), errors)


def fit_scale(axes: Axes, wanted: Quantity, beside: Sequence[float] = ()) -> None:
    """Fit the vertical axis of a panel to its lines: percents end at 100, and values of a wide range get a logarithmic axis.

    Args:
        axes: the panel, with its lines.
        wanted: the quantity that it shows.
        beside: values that will stand beside the lines, and must be visible as well.
    """
    values = [*beside, *(value for drawn in axes.lines for value in np.asarray(drawn.get_ydata(), float).tolist())]
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
