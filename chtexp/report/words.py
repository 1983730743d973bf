"""Numbers as a reader sees them."""

from __future__ import annotations

GAP = "–"
LOWER_IS_BETTER = frozenset({"perplexity"})  # metrics, where no result is there to say so
MARK = "†"  # beside every number that is not of the paper's budget, data or settings
DISTURBED = "‡"  # beside seconds that are not the training's own: measured beside other work, or with pauses


def number(value: float | None, form: str) -> str:
    """`value` in the format `form`, or a gap."""
    return GAP if value is None else format(value, form)


def rounded(value: float | None, digits: int, sign: str = "") -> str:
    """`value` with so many digits after the point, or a gap; never "-0.00". sign: "+" to have one always."""
    return number(value, f"{sign}z.{digits}f")


def with_error(mean: float | None, error: float | None, digits: int) -> str:
    """`98.60 ± 0.06`, in the metric's unit, with so many digits after the point."""
    return rounded(mean, digits) + ("" if mean is None or error is None else f" ± {rounded(error, digits)}")
