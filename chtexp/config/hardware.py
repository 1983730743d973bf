"""What a run computes on, described."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, model_validator

from chtexp.config.typed import Description
from chtexp.errors import UserError

ExecutionChoice = Literal["auto", "dense", "csr"]


class Hardware(Description):
    """What a run computes on.

    Attributes:
        name: as chosen.
        device: `cpu` or `cuda`.
        threads: of one process on the CPU; None: all cores, shared out.
        precision: `bf16` and `fp16` are autocast with float32 weights, fp16 with a scaled loss. In `pure_bf16` all parameters,
            gradients and the optimizer's state are bf16, too (the paper's Table 3), with what eight bits do: a norm's gain near
            1 stands still at changes below 0.002, the second moment at beta2=0.999 grows but hardly falls, and summing up a
            batch in more parts (`task.at_once`) rounds more often.
        execution: of sparse layers: `csr` computes with their links alone, `dense` with masked matrices, `auto` takes the faster
            of both, layer by layer. It changes the time of a run, and its numbers only by rounding.
        compile: whether training passes through torch.compile. Masks are no part of what is compiled, so updates compile
            nothing anew.
        recompute: whether activations inside the layers of a Transformer are computed again for the backward pass instead of
            kept.
        processes: on each machine. More than one in all train together and share one batch. They change the numbers of a run by
            rounding only, but for dropout, which each draws for itself.
        nodes: machines.
    """

    name: str
    device: Literal["cpu", "cuda"] = "cpu"
    threads: PositiveInt | None = None
    precision: Literal["float32", "bf16", "pure_bf16", "fp16"] = "float32"
    execution: ExecutionChoice = "auto"
    compile: bool = False
    recompute: bool = False
    processes: PositiveInt = 1
    nodes: PositiveInt = 1

    @model_validator(mode="after")
    def _links_as_they_come(self) -> Hardware:
        if self.execution == "csr" and self.device != "cpu":
            raise UserError(
                f"hardware.execution csr is for the CPU, not for {self.device}: use hardware.execution=dense or auto"
            )
        if self.execution == "csr" and self.precision != "float32":
            raise UserError(
                f"hardware.execution csr computes in float32, not in {self.precision}: use hardware.precision=float32, "
                "or hardware.execution=dense"
            )
        if self.execution == "csr" and (self.compile or self.recompute):
            raise UserError(
                "hardware.execution csr has compiled code of its own: leave out hardware.compile and hardware.recompute, or use "
                "hardware.execution=dense"
            )
        return self

    @property
    def together(self) -> bool:
        """Whether several processes train together."""
        return self.processes * self.nodes > 1

    @property
    def sparse_execution(self) -> ExecutionChoice:
        """The execution of sparse layers at this precision; `dense` in networks that torch compiles or computes twice."""
        return self.execution if self.precision == "float32" and not (self.compile or self.recompute) else "dense"
