"""Numbers as a reader sees them."""

from __future__ import annotations

GAP = "–"
LOWER_IS_BETTER = frozenset({"perplexity"})  # metrics, where no result is there to say so
MARK = "†"  # beside every number that is not of the paper's budget, data or settings


def number(value: float | None, form: str) -> str:
    """`value` in the format `form`, or a gap."""
    return GAP if value is None else format(value, form)


def with_error(mean: float | None, error: float | None, digits: int = 2) -> str:
    """`98.60 ± 0.06`, in the metric's unit, with so many digits after the point."""
    if mean is None:
        return GAP
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
