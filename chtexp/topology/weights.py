"""What a node of a local community counts, by its links into the community and out of it.

The formulas take numbers in compiled code and, as their `py_func`, whole tensors.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from chtexp.system.kernels_cache import njit

Formula = Callable[[Tensor, Tensor], Tensor]


@njit()
def _ch2(internal, external):  # type: ignore[no-untyped-def]
    return (1 + internal) / (1 + external)


@njit()
def _ch3(internal, external):  # type: ignore[no-untyped-def]
    return 1 / (1 + external)


@njit()
def _ch3_1(internal, external):  # type: ignore[no-untyped-def]
    return 1 / (1 / (1 + internal) + external)


# The place of a rule in this list is its number in `node_weight`.
RULES: tuple[str, ...] = ("ch2", "ch3", "ch3_1")
FORMULAS: dict[str, Formula] = {"ch2": _ch2.py_func, "ch3": _ch3.py_func, "ch3_1": _ch3_1.py_func}


@njit()
def node_weight(rule, internal, degree):  # type: ignore[no-untyped-def]
    """The weight, by the rule of that number, of a node with `degree` links of which `internal` lead inside."""
    external = max(degree - 1 - internal, 0)
    if rule == 0:
        return _ch2(internal, external)
    if rule == 1:
        return _ch3(internal, external)
    return _ch3_1(internal, external)
