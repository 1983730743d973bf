"""What in a run's folder cannot be read: told, not raised, for whoever shows all runs there are."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from chtexp.errors import UserError
from chtexp.store.folder import RunFolder

LAST = "last evaluation"  # what a result is `selected_by`, where a run reports what it ended with
NEEDED: dict[str, type | tuple[type, ...]] = {  # of a result, by whoever makes tables
    "id": str, "seed": int, "data": str, "method": str, "budget": str, "metric": str, "higher_is_better": bool,
    "reported": (int, float, type(None)), "last": (int, float, type(None)), "selected_by": str, "steps": int,
    "density": (int, float), "anp": (int, float), "nonzeros": int, "seconds": (int, float), "data_source": str,
    "science": Mapping, "command": str, "environment": Mapping,
}  # fmt: skip


def result_damage(folder: RunFolder) -> str | None:
    """What is wrong with `result.json`; None where it is whole, or not there."""
    try:
        result = folder.read_result()
    except UserError as error:
        return str(error)
    except (OSError, UnicodeDecodeError) as error:
        return f"{folder.result} cannot be read ({error})"
    if result is None:
        return None
    return f"{folder.result} is no whole result: {wrong}" if (wrong := lacking(result)) else None


def lacking(result: object) -> str:
    """What a result lacks for a table to be made of it, in words; empty where it is whole."""
    wrong = [key for key, kind in NEEDED.items() if not _has(result, key, kind)]
    return f"{', '.join(wrong)} missing or of another kind" if wrong else ""


def _has(result: object, key: str, kind: type | tuple[type, ...]) -> bool:
    if not (isinstance(result, Mapping) and key in result and isinstance(result[key], kind)):
        return False
    return not isinstance(result[key], float) or isfinite(result[key])
