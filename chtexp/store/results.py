"""The result of a finished run (`result.json`, and a line of collected results): read whole, or not at all."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictStr, model_validator

from chtexp.store import schema_1
from chtexp.store.identity import known_run_id
from chtexp.store.records import (
    Count,
    Environment,
    Flops,
    Identity,
    NotNegative,
    Number,
    Plain,
    Science,
    Score,
    Seed,
    Share,
    Texts,
)
from chtexp.store.seal import Sealed, sealed, unsealed

LAST = "last evaluation"  # what a result is `selected_by`, where a run reports what it ended with


class Result(Sealed):
    """The numbers of a run, and where they come from; see `chtexp.run.result`.

    Attributes:
        version: the schema of the file.
        id: the identity of the run.
        seed: its seed.
        data: the name of its data.
        method: the name of its method.
        budget: the name of its budget.
        metric: the metric that is reported.
        higher_is_better: whether higher values of it are better.
        reported: the value that is reported, in the metric's unit; None where there is none.
        selected_by: how the reported evaluation was selected.
        last: the value at the last evaluation; None where it does not test.
        best: the best value of the metric.
        best_step: its optimizer step.
        validation_selected: the metric at the selected evaluation: the one with the best validation metric, or the last one.
        metrics: every metric of the last evaluation, and of the test, by name.
        steps: optimizer steps.
        density: the density of the sparse layers, in [0, 1].
        anp: the share of active neurons (ANP), in [0, 1].
        links: the number of links.
        nonzeros: the number of non-zero parameters of the network.
        flops: of the whole training.
        seconds: of training.
        data_source: where the data come from, in words.
        deviations: how its data differ from the paper's.
        science: the scientific configuration.
        command: the command that made it.
        environment: the environment of the last start.
        zeroshot: scores on tasks that it was not trained for.
        item_limit: of a result that is read off such scores: the most items of a task; see `evaluations`.
        parts: of such a result: the tasks of which only a part was evaluated.
    """

    version: Annotated[Literal[1, 2], Field(alias="schema")] = 1
    id: Identity
    seed: Seed
    data: StrictStr
    method: StrictStr
    budget: StrictStr
    metric: StrictStr
    higher_is_better: StrictBool
    reported: Number | None
    selected_by: StrictStr
    last: Number | None
    best: Number | None = None
    best_step: Count | None = None
    validation_selected: Number | None = None
    metrics: dict[str, Number | None] = Field(default_factory=dict)
    steps: Count
    density: Share
    anp: Share
    links: Count | None = None
    nonzeros: Count
    flops: Flops | None = None
    seconds: NotNegative
    data_source: StrictStr
    deviations: Texts = ()
    science: Science
    command: StrictStr
    environment: Environment
    zeroshot: Annotated[tuple[Score, ...] | None, Field(strict=False)] = None
    item_limit: Count | None = None
    parts: tuple[StrictStr, ...] = ()

    @classmethod
    def of(cls, values: object) -> Self:
        """Make a result of plain values.

        Raises:
            ValueError: the values are not whole, the seal is broken, or the content contradicts the identity or itself.
        """
        made = super().of(values)
        if known_run_id(made.described) != made.id:
            raise ValueError(f"is no whole result: its science is that of another run than {made.id}")
        if made.version == 1 and (wrong := schema_1.contradiction(made.plain)):
            raise ValueError(wrong)
        return made

    @model_validator(mode="before")
    @classmethod
    def _of_schema_1(cls, values: Plain) -> Plain:
        if "schema" in values:
            return values
        return {**values, "deviations": schema_1.deviations(values.get("data_source"))}

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it: id and seed."""
        return self.id, self.seed

    @property
    def described(self) -> Plain:
        """The whole scientific configuration, as plain values."""
        found = self.plain["science"]
        assert isinstance(found, dict)
        return found

    @property
    def said(self) -> dict[str, object]:
        """What the run says, without the seal."""
        return unsealed(self.plain)

    def changed(self, **values: object) -> Self:
        """The same result with other values, sealed anew where it has a seal."""
        plain = {**self.plain, **values}
        return type(self).of(sealed(plain) if self.version > 1 else plain)
