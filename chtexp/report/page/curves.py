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
    """path: of an SVG of WIDTH x HEIGHT. low, high, last: in the label's unit; first_step, last_step: what it spans."""

    label: str
    path: str
    low: float
    high: float
    last: float
    first_step: float
    last_step: float


def curves(records: Sequence[Record], metric: str) -> tuple[Curve, ...]:
    """What was recorded of metric, loss, density, ANP, ITOP and overlap. records: the lines of `metrics.jsonl`."""
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
    """Where `value` stands on a stretch of `length`, but for the margin; in the middle where all are equal."""
    share = (value - low) / (high - low) if high > low else 0.5
    return MARGIN + share * (length - 2 * MARGIN)
