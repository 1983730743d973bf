"""One run, described: typed, frozen, complete. Below the entry point nothing else travels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from chtexp.errors import UserError, unknown
from chtexp.experiments.families import FAMILIES, Family
from chtexp.experiments.fit import check_embeddings, check_method
from chtexp.sparse import Choice, Method
from chtexp.store import RunFolder, run_id
from chtexp.tasks import Budget
from chtexp.typed import Description, describe, identity

SCIENCE = ("data", "model", "task", "method", "budget")


class Hardware(Description):
    """threads: of one process on the CPU (None: all cores, shared out). precision: `bf16` and `fp16` are autocast with
    float32 weights, fp16 with a scaled loss; in `pure_bf16` all parameters, gradients and the optimizer's state are bf16, too
    (the paper's Table 3), with what eight bits do: a norm's gain near 1 stands still at changes below 0.002, the second moment
    at beta2=0.999 grows but hardly falls, and summing up a batch in more parts (`task.at_once`) rounds more often.

    processes: on each of `nodes` machines; more than one in all train together, one batch shared out among them. They change
    the numbers of a run by rounding only, but for dropout, which each draws for itself.

    execution: of sparse layers: `csr` computes with their links alone, `dense` with masked matrices, `auto` takes the
    faster of both, layer by layer. It changes the time of a run, and its numbers only by rounding.

    compile: training passes through torch.compile; masks are no part of what is compiled, so updates compile nothing anew.
    recompute: activations inside the layers of a Transformer are not kept for the backward pass but computed again.
    """

    name: str
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["float32", "bf16", "pure_bf16", "fp16"] = "float32"
    execution: Choice = "auto"
    compile: bool = False
    recompute: bool = False
    processes: Annotated[int, Field(ge=1)] = 1
    nodes: Annotated[int, Field(ge=1)] = 1

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
    def sparse_execution(self) -> Choice:
        """The execution that sparse layers get at this precision, and in networks that torch compiles or computes twice."""
        return self.execution if self.precision == "float32" and not (self.compile or self.recompute) else "dense"


class Checkpointing(Description):
    """A checkpoint is written once so many seconds, or steps (None: any number), have passed since the last."""

    seconds: Annotated[float, Field(ge=0)] = 30.0
    steps: Annotated[int, Field(ge=1)] | None = None


class Logger(Description):
    """Where metrics go besides the run's own folder. mode: W&B's (`offline` needs no network).

    quiet: of all that a run says, only its last line and errors are printed; its log has everything.
    """

    name: Literal["none", "wandb"] = "none"
    project: str = "chtexp"
    mode: Literal["offline", "online", "disabled"] = "offline"
    quiet: bool = False


class Paths(Description):
    """data: root of the data sets (None: only embedded ones). cache: root of prepared data (None: there, too).

    runs: where run folders are made.
    """

    data: Path | None = None
    cache: Path | None = None
    runs: Path

    @field_validator("runs", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if value in (None, ""):
            raise ValueError("must name a folder, e.g. paths.runs=runs")
        return value

    def resolved(self) -> Paths:
        """The same folders, wherever one stands."""
        data, cache = (path.resolve() if path else None for path in (self.data, self.cache))
        return Paths(data=data, cache=cache, runs=self.runs.resolve())


class Run(Description):
    """data, model, task, method and budget are the science; with the precision they make the run's identity.

    The rest is circumstance.
    """

    data: Any
    model: Any
    task: Any
    method: Method
    budget: Budget
    hardware: Hardware
    logger: Logger
    checkpoint: Checkpointing
    paths: Paths
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    overwrite: bool = False

    @property
    def family(self) -> Family:
        return FAMILIES[self.task.name]

    @property
    def science(self) -> dict[str, Any]:
        """What a number depends on besides the seed: the five descriptions, and the precision of the arithmetic."""
        parts = {part: identity(getattr(self, part)) for part in SCIENCE}
        return {**parts, "precision": self.hardware.precision}

    @property
    def id(self) -> str:
        """The identity: equal for runs that differ only in seed, hardware, logging or paths."""
        return run_id(self.science)

    @property
    def folder(self) -> RunFolder:
        return RunFolder.of(self.paths.runs, (self.data.name, self.method.name, self.budget.name), self.id, self.seed)

    def config(self) -> dict[str, Any]:
        """The whole description as plain values."""
        return self.model_dump(mode="json")


def describe_run(values: Mapping[str, Any]) -> Run:
    """A Run of plain nested mappings; UserError names what is wrong, and what is allowed."""
    values = dict(values)
    task = values.get("task")
    name = task.get("name") if isinstance(task, Mapping) else None
    if name not in FAMILIES:
        raise unknown("task", name, FAMILIES)
    family = FAMILIES[name]
    for part, cls in (("data", family.data), ("model", family.model), ("task", family.recipe)):
        if not isinstance(values.get(part), Mapping):
            raise UserError(f"{part} must be a mapping, as in conf/{part}/, not {values.get(part)!r}")
        values[part] = describe(cls, values[part], part)
    run = describe(Run, values)
    check_method(run.method, family, run.data.name)
    check_embeddings(run.model, run.data)
    return run
