"""The typed, frozen record of each file that the store writes; every number is finite and within bounds.

A record keeps what its file holds beyond the fields that it knows: what older or newer versions wrote is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StrictStr,
    ValidationError,
)

Plain = Mapping[str, object]  # what JSON says, as Python has it

LARGEST = 1e100  # of any number: its square is finite, too
Number = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, le=LARGEST, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1.0001, allow_inf_nan=False)]
Percent = Annotated[float, Field(strict=True, ge=0, le=100.0001, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**62)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Identity = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{10}$")]


def is_list(value: object) -> object:
    """Check that a value is a list, before it is read as a tuple, which other types can become as well.

    Raises:
        ValueError: it is not a list.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("should be a list")
    return value


Texts = Annotated[tuple[StrictStr, ...], BeforeValidator(is_list)]
State = Literal["done", "failed", "timed-out", "preempted"]


class Part(BaseModel):
    """A part of a file."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @classmethod
    def of(cls, values: object) -> Self:
        """Make a part of plain values.

        Raises:
            ValueError: says in one line what is wrong with the values.
        """
        name = re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).lower()
        if not isinstance(values, Mapping):
            raise ValueError(f"is no {name}: {type(values).__name__} where names and values belong")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(f"is no whole {name}: {in_words(error)}") from None

    @property
    def plain(self) -> Plain:
        """All values that were given."""
        return self.model_dump(exclude_unset=True)


class Record(Part):
    """A whole file or line, which is also kept as it was written."""

    _plain: Plain | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, values: object) -> Self:
        """Make a record of plain values.

        Raises:
            ValueError: says in one line what is wrong with the values.
        """
        made = super().of(values)
        assert isinstance(values, Mapping)
        made._plain = values
        return made

    @property
    def plain(self) -> Plain:
        """All values, as they were written."""
        return super().plain if self._plain is None else self._plain


def in_words(error: ValidationError) -> str:
    """Name what is missing or wrong, each by its dotted name: the first four, and how many more."""
    said = [
        _problem(".".join(map(str, one["loc"])), one["type"], one["msg"]) for one in error.errors(include_url=False)
    ]
    more = len(said) - 4
    return ", ".join(said[:4]) + (f" and {more} more" if more > 0 else "")


def _problem(name: str, kind: str, said: str) -> str:
    if kind == "missing":
        return f"{name} missing"
    rule = said.removeprefix("Value error, ").replace("Input should", "should").replace("Input", "it")
    return f"{name} {rule}" if name else rule


class Ending(Part):
    """How a start ended (`starts/0001.end.json`).

    Attributes:
        state: how it ended.
        reason: why, where that is not plain.
        step: the optimizer step that it had reached.
        traceback: of the error that ended it.
        begins_anew: whether only overwrite=true goes on: no checkpoint can be used.
    """

    state: State
    reason: StrictStr = ""
    step: Count | None = None
    traceback: StrictStr = ""
    begins_anew: StrictBool = False


class Cleared(Part):
    """The start that last began anew (`cleared.json`).

    Attributes:
        start: its number.
    """

    start: Count


class Job(Record):
    """What was last given the run (`submitted.json`): a scheduler's job, or the process of a sweep.

    Attributes:
        name: the name of the job; None for a sweep's process.
        starts_before: how many starts the run had by then.
        sweep: the folder of the sweep, with `starts/` of that process.
        command: the command that carries out this run alone.
    """

    name: StrictStr | None
    starts_before: Count
    sweep: StrictStr
    command: StrictStr | None = None

    @classmethod
    def given(cls, name: str | None, starts_before: int, sweep: str, command: str | None = None) -> Job:
        """Make a job of these values."""
        return cls(name=name, starts_before=starts_before, sweep=sweep, command=command)


class GivenRun(Part):
    """One run of a sweep.

    Attributes:
        label: its name for a reader.
        folder: its folder.
        command: the command that carries out this run alone.
        config: its whole description.
        starts_before: how many starts its folder had when the sweep began.
    """

    label: StrictStr
    folder: StrictStr
    command: StrictStr
    config: dict[str, object]
    starts_before: Count


class Sweep(Record):
    """A sweep as it was asked for (`sweep.json`).

    Attributes:
        tasks: its runs; the settings of its launcher stand beside them.
    """

    tasks: Annotated[tuple[GivenRun, ...], BeforeValidator(is_list)]

    @property
    def settings(self) -> dict[str, object]:
        """The settings of the launcher."""
        return {key: value for key, value in self.plain.items() if key != "tasks"}


class Beside(Part):
    """The load of the machine beside a training; see `chtexp.train.beside`.

    Attributes:
        others: the share of the cores that other processes had, in [0, 1]; None where it is unknown.
        own: CPU seconds of the training's process / wall-clock seconds; None where nothing was measured.
        niceness: the highest niceness that the training ran at.
        disturbed: whether its seconds are not to be trusted.
    """

    others: NotNegative | None = None
    own: NotNegative | None = None
    niceness: Annotated[int, Field(strict=True, ge=-20, le=20)] = 0
    disturbed: StrictBool


class Libraries(Part):
    """The versions of libraries by name."""

    torch: StrictStr

    @property
    def versions(self) -> dict[str, str]:
        """The version of each library that is named."""
        return {"torch": self.torch, **{name: str(version) for name, version in (self.model_extra or {}).items()}}


class Environment(Part):
    """The environment of a start (`environment.json` is a list of them); see `chtexp.run.environment`.

    Attributes:
        chtexp: the version of chtexp.
        commit: the commit of the working tree; None outside of one.
        uncommitted_changes: whether the tree had any; None where that is unknown.
        libraries: the versions of libraries.
        system: the operating system.
        host: the name of the machine.
        cpu: the processor.
        threads: the threads of each process.
        processes: the processes that trained together.
        gpus: the names of the GPUs.
        finished: when the start ended.
        beside: the load of the machine; None where it was not measured.
        files: of a result, checksums of the files that go with it, by name.
    """

    chtexp: StrictStr = ""
    commit: StrictStr | None
    uncommitted_changes: StrictBool | None
    libraries: Libraries
    system: StrictStr = ""
    host: StrictStr = ""
    cpu: StrictStr
    threads: Count
    processes: Annotated[int, Field(strict=True, ge=1, le=2**31)] = 1
    gpus: Texts
    finished: StrictStr | None = None
    beside: Beside | None = None
    files: dict[str, StrictStr] = Field(default_factory=dict)


class Length(Part):
    """The length of a run.

    Attributes:
        name: the name of the budget.
        fraction: of the paper's training length.
        train_limit: the most training items; None: all.
        test_limit: the most test items; None: all.
    """

    name: StrictStr
    fraction: NotNegative
    train_limit: Count | None
    test_limit: Count | None


class PluginUsed(Part):
    """A plug-in that a run used.

    Attributes:
        sha256: the hash of its source.
        registers: what the run used of it, each by kind and name.
    """

    sha256: StrictStr
    registers: Texts


class Science(Part):
    """The scientific configuration of a run; data, model, task and method are further names.

    Attributes:
        budget: the length of the run.
        plugins: the plug-ins that it used, by name.
    """

    budget: Length
    plugins: dict[str, PluginUsed] = Field(default_factory=dict)


class Flops(Part):
    """The FLOPs of a whole training, of linear layers.

    Attributes:
        dense: of dense networks.
        sparse: counting links alone.
    """

    dense: NotNegative
    sparse: NotNegative


class Score(Part):
    """The score on one task that the model was not trained for; see `chtexp.store.evaluations`."""

    task: StrictStr
    n: Count
    accuracy: Percent
    accuracy_error: NotNegative | None = None
    matthews: Annotated[float, Field(strict=True, ge=-1.0001, le=1.0001, allow_inf_nan=False)]
    matthews_error: NotNegative | None = None
    shares: dict[str, Percent] = Field(default_factory=dict)
    answered: dict[str, Percent] = Field(default_factory=dict)
    choices: Texts | None = None
    cut: Count | None = None
    whole: Count | None = None
    limit: Count | None = None
    lm_eval: StrictStr | None = None


class Moment(Record):
    """A line of `metrics.jsonl`: an evaluation or a topology update; every further value is a number.

    Attributes:
        kind: "evaluation" or "update".
        step: the optimizer step.
        layers: what an update recorded of each layer, by name.
    """

    __pydantic_extra__: dict[str, StrictBool | Number | None] = Field(init=False)

    kind: StrictStr | None = None
    step: Count
    layers: dict[str, dict[str, StrictBool | Number | list[Number] | None]] = Field(default_factory=dict)
