"""Numbers as a reader sees them."""

from __future__ import annotations

GAP = "–"
MARK = "†"  # beside every number that is not of the paper's budget, data or settings


def number(value: float | None, form: str) -> str:
    """`value` in the format `form`, or a gap."""
    return GAP if value is None else format(value, form)


def with_error(mean: float | None, error: float | None) -> str:
    """`98.60 ± 0.06`, in the metric's unit."""
    if mean is None:
        return GAP
    return f"{mean:.2f}" + ("" if error is None else f" ± {error:.2f}")
