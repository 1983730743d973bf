"""Which layers are executed by their links, and which as masked matrices."""

from __future__ import annotations

from typing import Literal

import torch

from chtexp.errors import UserError, unknown

EXECUTIONS = ("auto", "dense", "csr")
Choice = Literal["auto", "dense", "csr"]
Execution = Literal["dense", "csr"]


def check_execution(choice: str, elementwise: bool, optimizer: str) -> None:
    """Raises UserError for an unknown choice, or one that the optimizer does not allow."""
    if choice not in EXECUTIONS:
        raise unknown("execution", choice, EXECUTIONS)
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
    elementwise: bool,
) -> Execution:
    """How a layer is executed. batch: rows that it multiplies at once."""
    if choice != "auto":
        return choice
    if device.type != "cpu" or dtype != torch.float32 or not elementwise:
        return "dense"
    return "csr" if links < _BELOW_DENSITY * shape[0] * shape[1] else "dense"


_BELOW_DENSITY = 0.3
