"""What a forward pass leaves for its backward pass, counted on fake tensors: shapes, types and memories, but no numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chtexp.build import builder_of
from chtexp.build.assembly import recompute_activations
from chtexp.config.run import Run
from chtexp.config.typed import Description
from chtexp.train.precision import AUTOCAST, with_weights_in

T = TypeVar("T")


def activation_bytes(run: Run) -> int:
    """Estimate the activations of one part of a step of a run.

    Included is all that autocast copies, left out what is computed again (`hardware.recompute`). What torch's kernels for the CPU
    keep stands for what those of a GPU do: they differ by little.

    Returns:
        Bytes that live between the forward and the backward pass, parameters aside.
    """
    return once_for((run.data, run.model, run.task, run.hardware, run.paths), "activations", lambda: _count(run))


def _count(run: Run) -> int:
    with torch.device("meta"):
        model = builder_of(run).model().model
    with FakeTensorMode():
        _make_fake(model)
        with_weights_in(run.hardware.precision, model)
        if run.hardware.recompute:
            recompute_activations(model)
        loss = builder_of(run).example_loss(model, run.hardware.processes * run.hardware.nodes)
        return bytes_kept(model, loss, run.hardware.precision)


def bytes_kept(model: nn.Module, loss: Callable[[], Tensor], precision: str = "float32") -> int:
    """Measure what a loss keeps for its backward pass.

    Args:
        model: its parameters do not count.
        loss: computes the loss, on fake tensors.
        precision: as of `Hardware`.

    Returns:
        Bytes of all memory that `loss()` takes and that its result, and the graph behind it, hold; each once.
    """
    with _Allocations() as allocations, _autocast(precision):
        held = loss()
    taken = allocations.alive()
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    del held
    return sum(size for memory, size in taken.items() if memory not in own)


def _autocast(precision: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", dtype=AUTOCAST[precision]) if precision in AUTOCAST else nullcontext()


def _make_fake(model: nn.Module) -> None:
    """Fake tensors on the CPU instead of those on `meta`, which autocast passes over; what was one stays one."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
                    made[id(tensor)] = nn.Parameter(fake) if isinstance(tensor, nn.Parameter) else fake
                held[name] = made[id(tensor)]  # type: ignore[assignment]


class _Allocations(TorchDispatchMode):
    """Every memory that an operation's result lies in."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                memory = leaf.untyped_storage()
                self._seen[memory._cdata] = StorageWeakRef(memory), memory.nbytes()
        return result

    def alive(self) -> dict[int, int]:
        """The bytes of every memory that is still held, by its address."""
        return {where: size for where, (memory, size) in self._seen.items() if not memory.expired()}


def once_for(parts: Sequence[Description], what: str, make: Callable[[], T]) -> T:
    """Make a value once for the same descriptions, and keep it.

    Args:
        parts: the descriptions that the value depends on.
        what: its name among the values of these descriptions.
        make: makes it.
    """
    key = (what, *(part.model_dump_json() for part in parts))
    if key not in _MADE:
        _MADE[key] = make()
    return cast(T, _MADE[key])


_MADE: dict[tuple[str, ...], object] = {}
