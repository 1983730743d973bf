"""Bytes of tensors, each piece of memory counted once, however many tensors look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass

from torch import Tensor


class Bytes:
    """Counts memory and remembers what it has counted."""

    def __init__(self) -> None:
        self._counted: set[int] = set()

    def of(self, things: object) -> int:
        """The bytes of all tensors in `things` that were not counted before."""
        total = 0
        for tensor in tensors_in(things):
            storage = tensor.untyped_storage()
            if storage.nbytes() and storage.data_ptr() not in self._counted:
                self._counted.add(storage.data_ptr())
                total += storage.nbytes()
        return total


def tensors_in(things: object) -> Iterator[Tensor]:
    """Find the tensors in mappings, iterables and dataclasses, however deep."""
    if isinstance(things, Tensor):
        yield things
    elif isinstance(things, Mapping):
        yield from tensors_in(things.values())
    elif is_dataclass(things) and not isinstance(things, type):
        yield from tensors_in(getattr(things, field.name) for field in fields(things))
    elif isinstance(things, Iterable) and not isinstance(things, str | bytes):
        for thing in things:
            yield from tensors_in(thing)
