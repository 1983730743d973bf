"""How the sparse layers of one model are executed: as the user chose, as far as optimizer and layers allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from chtexp.sparse.cpu.execution import Choice, Execution, check_execution, check_kinds, execution_of, without_matrix
from chtexp.sparse.layer import SparseLayer
from chtexp.sparse.maps import LinearMap
from chtexp.sparse.optimizer_state import is_elementwise

FEW_OTHERS = 1 << 18  # parameters outside sparse weights: up to here they need no threads of torch


class ExecutionPolicy:
    """The choice between csr and dense execution, layer by layer.

    Args:
        choice: `dense`, `csr`, or `auto` to decide by layer, device, density and batch.
        batch: rows that a layer multiplies at once.
        model: the whole network.
        linears: its sparse layers by name, before they are executed in any way.
        optimizer: holds their weights.

    Raises:
        UserError: a choice that is unknown, or that the optimizer or a layer does not allow.
    """

    def __init__(
        self,
        choice: Choice,
        batch: int,
        model: nn.Module,
        linears: Mapping[str, LinearMap],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        free, elementwise = without_matrix(model), is_elementwise(optimizer)
        others = {name: type(linear).__name__ for name, linear in linears.items() if not isinstance(linear, nn.Linear)}
        check_kinds(choice, others)
        needing_matrix = sorted(name for name, linear in linears.items() if linear not in free)
        types = {str(linear.weight.dtype).removeprefix("torch.") for linear in linears.values()}
        check_execution(choice, elementwise, type(optimizer).__name__, needing_matrix, types)
        self._choice: Choice = choice
        self._batch = batch
        self._without_matrix = set(linears) - set(needing_matrix) if elementwise else set()

    def of(self, layer: SparseLayer, links: int) -> Execution:
        """Decide how `layer` is executed when it has so many `links`."""
        return execution_of(
            self._choice,
            links=links,
            shape=layer.shape,
            batch=self._batch,
            device=layer.weight.device,
            dtype=layer.weight.dtype,
            possible=layer.name in self._without_matrix,
        )

    def keeps_matrices(self, layers: Sequence[SparseLayer]) -> bool:
        """Tell whether every weight of `layers` keeps its shape during the whole training."""
        on_cpu = any(layer.weight.device.type == "cpu" for layer in layers)
        return self._choice == "dense" or not (on_cpu or self._choice == "csr")


def on_kernels(model: nn.Module, layers: Sequence[SparseLayer]) -> bool:
    """Tell whether compiled kernels do nearly all the work of a step, so that torch's threads are better given to them.

    Args:
        model: the network.
        layers: its sparse layers.

    Returns:
        Whether all sparse layers run on the kernels, and the rest of the network is small.
    """
    weights = [layer.weight for layer in layers]
    if not weights or any(layer.execution == "dense" for layer in layers):
        return False
    others = sum(parameter.numel() for parameter in model.parameters()) - sum(weight.numel() for weight in weights)
    fitting = all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights)
    return fitting and others <= FEW_OTHERS
