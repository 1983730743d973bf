"""Numbers as a reader sees them."""

from __future__ import annotations

GAP = "–"
LOWER_IS_BETTER = frozenset({"perplexity"})  # metrics, where no result is there to say so
MARK = "†"  # beside every number that is not of the paper's budget, data or settings
DISTURBED = "‡"  # beside seconds that are not the training's own: measured beside other work, or with pauses


def number(value: float | None, form: str) -> str:
    """Format a number by the format specification `form`, or show a gap for None."""
    return GAP if value is None else format(value, form)


def rounded(value: float | None, digits: int, sign: str = "") -> str:
    """Round a number for display, or show a gap for None; never "-0.00".

    Args:
        value: the number.
        digits: after the decimal point.
        sign: "+" to show the sign of positive numbers as well.

    Returns:
        The text.
    """
    return number(value, f"{sign}z.{digits}f")


def with_error(mean: float | None, error: float | None, digits: int) -> str:
    """A mean with its standard error, e.g. `98.60 ± 0.06`.

    Args:
        mean: in the metric's unit; None gives a gap.
        error: its standard error; None leaves it out.
        digits: after the decimal point.

    Returns:
        The text.
    """
    return rounded(mean, digits) + ("" if mean is None or error is None else f" ± {rounded(error, digits)}")
