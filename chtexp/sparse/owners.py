"""Who follows a sparse weight: the DynamicSparsity that was made last. One made before lets go of the whole model."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Protocol

from torch import Tensor


class Owner(Protocol):
    """What follows sparse weights."""

    @property
    def owned(self) -> Sequence[Tensor]:
        """The weights that it follows; none once it has let go."""

    def let_go(self) -> None:
        """Follow nothing any more."""


_OWNERS: dict[int, weakref.ref[Owner]] = {}  # by the id of a weight


def relieve(weights: Iterable[Tensor]) -> None:
    """Have every owner of any of these weights let go of all that it follows."""
    for weight in weights:
        found = _OWNERS.get(id(weight))
        owner = found() if found is not None else None
        if owner is not None and any(weight is its for its in owner.owned):
            owner.let_go()


def own(owner: Owner) -> None:
    """Note who follows weights from now on, and forget those who are gone."""
    for gone in [key for key, ref in _OWNERS.items() if ref() is None]:
        del _OWNERS[gone]
    _OWNERS.update({id(weight): weakref.ref(owner) for weight in owner.owned})
