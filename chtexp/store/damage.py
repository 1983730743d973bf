"""What in a run's folder cannot be read: told, not raised, for whoever shows all runs there are."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from chtexp.errors import UserError
from chtexp.store.folder import RunFolder

UNREADABLE = (UserError, OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading damaged files raises
LAST = "last evaluation"  # what a result is `selected_by`, where a run reports what it ended with
NEEDED: dict[str, type | tuple[type, ...]] = {  # of a result, by whoever makes tables
    "id": str, "seed": int, "data": str, "method": str, "budget": str, "metric": str, "higher_is_better": bool,
    "reported": (int, float, type(None)), "last": (int, float, type(None)), "selected_by": str, "steps": int,
    "density": (int, float), "anp": (int, float), "nonzeros": int, "seconds": (int, float), "data_source": str,
    "science": dict, "command": str, "environment": dict,
}  # fmt: skip
MISSING = object()


def whole_result(folder: RunFolder) -> dict[str, Any] | None:
    """`result.json`, or None where it is not there. Raises UserError where it is there and not whole."""
    try:
        result = folder.read_result()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder.result} cannot be read ({error})") from None
    if result is not None and (wrong := lacking(result)):
        raise UserError(f"{folder.result} is no whole result: {wrong}")
    return result


def result_damage(folder: RunFolder) -> str | None:
    """What is wrong with `result.json`; None where it is whole, or not there."""
    try:
        whole_result(folder)
    except UserError as error:
        return str(error)
    return None


def lacking(result: object) -> str:
    """What a result lacks for a table to be made of it, in words; empty where it is whole."""
    values = result if isinstance(result, Mapping) else {}
    wrong = [key for key, kind in NEEDED.items() if not _is(kind, values.get(key, MISSING))]
    return f"{', '.join(wrong)} missing or of another kind" if wrong else ""


def _is(kind: type | tuple[type, ...], value: object) -> bool:
    return isinstance(value, kind) and (type(value) is not float or isfinite(value))
