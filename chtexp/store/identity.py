"""A run's identity is a hash of its scientific config: what is learned, by what, how and how long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ID_LENGTH = 10


def run_id(science: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits that are equal when and only when the config is (2^40 of them).

    science: nested mappings of plain values. The order of keys, and 1 against 1.0, make no difference.
    """
    canonical = json.dumps(_canonical(science), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:ID_LENGTH]


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
