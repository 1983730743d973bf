"""Which layers are executed by their links (csr), and which as masked matrices (dense)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, get_args

import torch
from torch import nn

from chtexp.config.hardware import ExecutionChoice
from chtexp.errors import UserError, unknown
from chtexp.sparse.cpu.csr import CsrLinear

# These modules read the weights of the layers inside them.
READ_WEIGHTS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
EXECUTIONS = get_args(ExecutionChoice)
Choice = ExecutionChoice
Execution = Literal["dense", "csr"]
BREAK_EVEN, BREAK_EVEN_FOR_FEW_ROWS, FEW_ROWS = 0.3, 0.2, 16  # densities, and rows of a batch; see execution_of


def without_matrix(model: nn.Module) -> set[nn.Module]:
    """Find the linear maps that can do without a weight matrix: only their own forward pass reads the weight.

    Args:
        model: the network.

    Returns:
        The modules.
    """
    read = {inner for module in model.modules() if isinstance(module, READ_WEIGHTS) for inner in module.modules()}
    holders = Counter(
        id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False)
    )  # a tied embedding reads the weight, too
    return {
        module
        for module in model.modules()
        if type(module) in (nn.Linear, CsrLinear) and module not in read and holders[id(module.weight)] == 1
    }


def check_kinds(choice: str, others: Mapping[str, str]) -> None:
    """Check that a choice of execution is possible for the kinds of layers there are.

    Args:
        choice: one of `EXECUTIONS`.
        others: by the name of each sparse layer that is no `nn.Linear`, what it is.

    Raises:
        UserError: csr execution is asked for one of them.
    """
    if choice == "csr" and others:
        name, kind = next(iter(others.items()))
        raise UserError(
            f"csr execution is of nn.Linear alone, and layer '{name}' is a {kind}; use execution=dense, or auto, which leaves it "
            "dense"
        )


def check_execution(
    choice: str, elementwise: bool, optimizer: str, needing_matrix: Collection[str], types: Collection[str]
) -> None:
    """Check that a choice of execution is possible.

    Args:
        choice: one of `EXECUTIONS`.
        elementwise: whether the optimizer treats every weight by itself.
        optimizer: its name, for the message.
        needing_matrix: the names of sparse layers that cannot do without a weight matrix.
        types: the types of the sparse weights, e.g. `float32`.

    Raises:
        UserError: an unknown choice, or one that the optimizer or a layer does not allow.
    """
    if choice not in EXECUTIONS:
        raise unknown("execution", choice, EXECUTIONS)
    if choice == "csr" and needing_matrix:
        raise UserError(
            f"the weight of {', '.join(needing_matrix)} is read as a matrix, by a subclass of nn.Linear, a module around it "
            "or one that shares it, which csr execution does not have; use execution=dense (or auto), or "
            "leave these out of layers=[...]"
        )
    if choice == "csr" and not set(types) <= {"float32", "float64"}:
        raise UserError(
            f"csr execution computes in float32 or float64, not in {', '.join(sorted(types))}; use execution=dense (or auto)"
        )
    if choice == "csr" and not elementwise:
        raise UserError(
            f"{optimizer} may look at a weight as a matrix, which csr execution does not have; use execution=dense (or auto), "
            "or an optimizer that treats every weight by itself, e.g. SGD, Adam, AdamW, RMSprop"
        )


def execution_of(
    choice: Choice,
    *,
    links: int,
    shape: tuple[int, int],
    batch: int,
    device: torch.device,
    dtype: torch.dtype,
    possible: bool,
) -> Execution:
    """Decide how a layer is executed.

    `auto` means csr where this makes the training step of a multi-layer perceptron faster, as was measured: on the CPU, in
    float32, below the density at which both take equally long. That density was 0.34 (2048 wide, batch 32), 0.36 (1024, 32),
    0.49 (256, 32), 0.45 to 0.57 at batches of 256 and 2048, and 0.38 (256 wide) and 0.22 (1568 wide) at batches of 1 to 8; 1
    thread.

    Args:
        choice: what the user chose.
        links: the number of links of the layer.
        shape: O and I.
        batch: rows that the layer multiplies at once.
        device: of its weight.
        dtype: of its weight.
        possible: whether csr execution is.

    Returns:
        The execution.
    """
    if choice != "auto":
        return choice
    if device.type != "cpu" or dtype != torch.float32 or not possible:
        return "dense"
    break_even = BREAK_EVEN if batch >= FEW_ROWS else BREAK_EVEN_FOR_FEW_ROWS
    return "csr" if links < break_even * shape[0] * shape[1] else "dense"
