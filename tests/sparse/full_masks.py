"""Counting the full masks (one bool a pair of a layer) that a piece of code makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class FullMasks(TorchDispatchMode):
    """Counts in `made`, by number of pairs, the bool tensors of one of these numbers of elements that get new memory."""

    def __init__(self, pairs: Sequence[int]) -> None:
        super().__init__()
        self.made: Counter[int] = Counter(dict.fromkeys(pairs, 0))

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        held = {_memory(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        for tensor in tree_leaves(result):
            new = isinstance(tensor, Tensor) and tensor.dtype == torch.bool and _memory(tensor) not in held
            if new and tensor.numel() in self.made:
                self.made[tensor.numel()] += 1
        return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
