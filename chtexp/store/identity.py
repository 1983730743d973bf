"""A run's identity is a hash of its scientific configuration: what is learned, by what, how and for how long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache

ID_LENGTH = 10


def run_id(science: Mapping[str, object]) -> str:
    """Compute the identity of a run: ten hexadecimal digits (2^40 values), equal for equal configurations.

    Args:
        science: nested mappings of plain values. The order of keys, and 1 or 1.0, make no difference.

    Returns:
        The identity.
    """
    canonical = json.dumps(_canonical(science), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:ID_LENGTH]


def known_run_id(science: Mapping[str, object]) -> str:
    """`run_id`, computed once for the many runs that differ only in their seeds.

    Args:
        science: nested mappings of values as JSON has them.

    Returns:
        The identity.
    """
    return _id_of(json.dumps(science, allow_nan=False))


@lru_cache(maxsize=4096)
def _id_of(text: str) -> str:
    return run_id(json.loads(text))


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
