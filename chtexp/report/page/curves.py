"""A run's curves, small enough that a page holds those of hundreds of runs: one line each, in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chtexp.report.figures.series import METRIC, Points, Record, quantity, series

SHOWN = (METRIC, "train_loss", "density", "anp", "itop", "overlap")
WIDTH, HEIGHT, MARGIN = 300.0, 80.0, 4.0
MOST = 200  # points of a line; more are not seen


@dataclass(frozen=True)
class Curve:
    """One small curve of a run.

    Attributes:
        label: the quantity with its unit.
        path: the path of an SVG of WIDTH x HEIGHT.
        low: the lowest value, in that unit.
        high: the highest value.
        last: the last value.
        first_step: the step of the first value.
        last_step: the step of the last value.
    """

    label: str
    path: str
    low: float
    high: float
    last: float
    first_step: float
    last_step: float


def curves(records: Sequence[Record], metric: str) -> tuple[Curve, ...]:
    """Draw what was recorded of metric, loss, density, ANP, ITOP and overlap.

    Args:
        records: the lines of `metrics.jsonl`.
        metric: the metric that the run reports.

    Returns:
        A curve for each quantity that was recorded.
    """
    wanted = [quantity(name, metric, [records]) for name in SHOWN]
    found = [(one.label, series(records, one.of)) for one in wanted]
    return tuple(_curve(label, points) for label, points in found if points)


def _curve(label: str, points: Points) -> Curve:
    steps, values = zip(*points, strict=True)
    every = -(-len(points) // MOST)
    shown = [*points[:-1:every], points[-1]]
    places = [
        (_between(step, min(steps), max(steps), WIDTH), HEIGHT - _between(value, min(values), max(values), HEIGHT))
        for step, value in shown
    ]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + ("h0.1" if len(places) == 1 else "")
    return Curve(label, path, min(values), max(values), values[-1], steps[0], steps[-1])


def _between(value: float, low: float, high: float, length: float) -> float:
    """Scale `value` to a stretch of `length` with a margin at both ends; the middle where all values are equal."""
    share = (value - low) / (high - low) if high > low else 0.5
    return MARGIN + share * (length - 2 * MARGIN)
