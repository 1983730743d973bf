"""One run, described: typed, frozen, complete. Below the entry point nothing else travels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field, NonNegativeFloat, PositiveInt, SerializeAsAny, field_validator

from chtexp.config.budget import Budget
from chtexp.config.compatibility import check_embeddings, check_method, check_size, names_of
from chtexp.config.families import Data, Family, Model, Recipe, family_of_task
from chtexp.config.hardware import Hardware
from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig, ImageLength
from chtexp.config.method import Method
from chtexp.config.own_parts import own_network, own_recipe
from chtexp.config.plugged import PLUGGED
from chtexp.config.plugins import Plugin, load_plugins, used_plugins
from chtexp.config.text import LanguageModellingLength, LanguageModellingRecipe, TextDataConfig
from chtexp.config.translation import TranslationLength, TranslationRecipe
from chtexp.config.typed import Description, describe, identity
from chtexp.errors import UserError
from chtexp.store import RunFolder, run_id

SCIENCE = ("data", "model", "task", "method", "budget")


class Checkpointing(Description):
    """A checkpoint is written once so many seconds, or steps, have passed since the last.

    Attributes:
        seconds: since the last checkpoint.
        steps: optimizer steps since the last checkpoint; None: any number.
    """

    seconds: NonNegativeFloat = 30.0
    steps: PositiveInt | None = None


class Logger(Description):
    """Where metrics go besides the run's own folder.

    Attributes:
        name: `wandb`, `tensorboard`, `mlflow` or `none`.
        project: of W&B, or MLflow's experiment.
        mode: of W&B; `offline` needs no network.
        quiet: whether only the last line and errors are printed. The run's log has everything.
    """

    name: Literal["none", "wandb", "tensorboard", "mlflow"] = "none"
    project: str = "chtexp"
    mode: Literal["offline", "online", "disabled"] = "offline"
    quiet: bool = False


class Paths(Description):
    """The folders of a run.

    Attributes:
        data: root of the data sets; None: only embedded ones.
        cache: root of prepared data; None: the data root.
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

    @property
    def prepared(self) -> Path:
        """The root of what is prepared of data that may lie anywhere: `cache`, `data`, or the person's own cache folder."""
        own = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "chtexp"
        return (self.cache or self.data or own).expanduser()

    def resolved(self) -> Paths:
        """The same folders as absolute paths."""
        data, cache = (path.resolve() if path else None for path in (self.data, self.cache))
        return Paths(data=data, cache=cache, runs=self.runs.resolve())


class Length(Protocol):
    """How long a training is, known before any data is read.

    Attributes:
        said: in words, what the budget makes of what was asked for.
        total_steps: optimizer steps of the whole training.
        update_interval: optimizer steps between topology updates.
    """

    said: str
    total_steps: int
    update_interval: int

    def positions(self, step: int) -> int:
        """Count the positions (images, tokens) that a training processes.

        Args:
            step: the training's first so many optimizer steps.
        """


class Run(Description):
    """One run. Data, model, task, method and budget are the science; with the precision they make the run's identity. The rest
    is circumstance.

    Attributes:
        data, model, task: of one family.
        method: of sparse training.
        budget: how much of the paper's training is done.
        hardware: what it computes on.
        logger: where metrics go.
        checkpoint: when checkpoints are written.
        paths: its folders.
        seed: decides every random draw.
        overwrite: whether a former run in its folder is removed.
        plugins: those that it uses; with the hash of their sources they are part of the identity.
    """

    data: Data
    model: SerializeAsAny[Model]
    task: SerializeAsAny[Recipe]
    method: Method
    budget: Budget
    hardware: Hardware
    logger: Logger
    checkpoint: Checkpointing
    paths: Paths
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    overwrite: bool = False
    plugins: tuple[Plugin, ...] = ()

    @property
    def family(self) -> Family:
        """The family of experiments that the run belongs to."""
        return family_of_task(self.task.name)

    @property
    def length(self) -> Length:
        """How long its training is.

        Raises:
            UserError: the description leaves nothing to train on.
        """
        task, data = self.task, self.data
        if isinstance(task, ImageClassificationRecipe) and isinstance(data, ImageDataConfig):
            return ImageLength(task, data, self.budget)
        if isinstance(task, TranslationRecipe):
            return TranslationLength(task, self.budget)
        assert isinstance(task, LanguageModellingRecipe)
        assert isinstance(data, TextDataConfig)
        return LanguageModellingLength(task, self.budget, data.sequence_length)

    @property
    def science(self) -> dict[str, object]:
        """What a number depends on besides the seed: the five descriptions, the precision, and the sources of plug-ins."""
        parts = {part: identity(getattr(self, part)) for part in SCIENCE}
        own = {one.name: {"sha256": one.sha256, "registers": one.registers} for one in self.plugins}
        return {**parts, "precision": self.hardware.precision, **({"plugins": own} if own else {})}

    @property
    def id(self) -> str:
        """The identity: equal for runs that differ only in seed, hardware, logging or paths."""
        return run_id(self.science)

    @property
    def folder(self) -> RunFolder:
        """The folder that the run is kept in."""
        return RunFolder.of(self.paths.runs, (self.data.name, self.method.name, self.budget.name), self.id, self.seed)

    def config(self) -> dict[str, object]:
        """The whole description as plain values."""
        return self.model_dump(mode="json")


def describe_run(values: Mapping[str, object]) -> Run:
    """Describe a run by plain nested mappings.

    Data that name no family are taken for the task's: so it is in what older runs kept.

    Args:
        values: the fields of `Run`.

    Raises:
        UserError: what is wrong, and what is allowed.
    """
    load_plugins(values.get("plugins") or ())
    task = values.get("task")
    task_name = task.get("name") if isinstance(task, Mapping) else None
    family = family_of_task(task_name)
    types = {
        "data": family.data_type,
        "model": _network(family, values),
        "task": own_recipe(task_name, family.recipe_type),
    }
    parts = {part: _described(cls, values.get(part), part) for part, cls in types.items()}
    run = describe(Run, {**values, **parts, "plugins": ()})
    run = run.model_copy(update={"plugins": used_plugins(_choices(run))})
    check_method(run.method, run.model, run.data)
    check_embeddings(run.model, run.data)
    check_size(run.model, run.data)
    return run


def _network(family: Family, values: Mapping[str, object]) -> type[Model]:
    """The description of the network that is named; one that names none is taken for the family's first."""
    model = values.get("model")
    name = model.get("name") if isinstance(model, Mapping) else None
    if name is None:
        return next(iter(family.models.values()))
    if name in family.models:
        return family.models[str(name)]
    own = own_network(name)
    if own is None:
        raise PLUGGED.unknown("model", "model.name", name, names_of(family, "model"))
    if family.data != "images":
        raise UserError(f"model {name} is a plug-in's, which classifies images: choose image data and their task")
    return own


def _choices(run: Run) -> list[tuple[str, str]]:
    """What a run has chosen of things that plug-ins may register, each by kind and name."""
    own = run.data.own if isinstance(run.data, ImageDataConfig) else None
    parts = [("model", run.model.name), ("task", run.task.name), *([("data", own.source)] if own else [])]
    return [*run.method.rules, *parts]


def _described(cls: type[Description], value: object, part: str) -> Description:
    if not isinstance(value, Mapping):
        raise UserError(f"{part} must be a mapping, as in conf/{part}/, not {value!r}")
    return describe(cls, value, part)
