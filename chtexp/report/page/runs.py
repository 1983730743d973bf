"""One run as the page shows it, read from its folder file by file: what cannot be read is named, and the rest is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, TypeVar

import yaml

from chtexp.report.layout import is_disturbed
from chtexp.report.number_format import number
from chtexp.report.page.curves import Curve, curves
from chtexp.store import DAMAGED, Condition, Damaged, Result, RunFolder
from chtexp.store.files import read_text
from chtexp.store.records import Environment, Plain

LOG_LINES = 40
Read = TypeVar("Read")

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml, where it is there, is ten times faster


@dataclass(frozen=True)
class RunPart:
    """A run as the page shows it.

    Attributes:
        name: data, method and budget, in one word or several.
        id: the identity of the run.
        seed: its seed.
        state: one of `chtexp.store.STATES`.
        reason: why it is in that state, where that is not plain.
        place: its folder, or the file of collected results that holds it.
        data: the name of its data.
        method: the name of its method.
        budget: the name of its budget.
        metric: the metric that it reports; empty without a result.
        reported: the value that it reports, in the metric's unit.
        last: the value at the last evaluation.
        seconds: of training.
        facts: what it is and what it reached, by name.
        commands: every command that worked on it.
        config: the whole configuration, as YAML.
        result: the whole result, as JSON.
        curves: what it recorded over training.
        log: the last lines of its log.
        damage: what could not be read, and why.
    """

    name: str
    id: str
    seed: str
    state: str
    reason: str
    place: str
    data: str
    method: str
    budget: str
    metric: str
    reported: float | None
    last: float | None
    seconds: float | None
    facts: Mapping[str, str]
    commands: tuple[str, ...] = ()
    config: str = ""
    result: str = ""
    curves: tuple[Curve, ...] = ()
    log: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The address of the run on the page."""
        return anchor("run", self.id, self.seed)


class Shown(TypedDict):
    """The fields of RunPart that tell what a run is and what it came to."""

    data: str
    method: str
    budget: str
    metric: str
    reported: float | None
    last: float | None
    seconds: float | None
    facts: Mapping[str, str]
    result: str


def anchor(*names: str) -> str:
    """Join names to one word that may stand in an address; different names give different words."""
    return ".".join(re.sub(r"[^\w-]", lambda found: f"~{ord(found[0]):x}", name) for name in names)


def collected_run(result: Result, path: Path) -> RunPart:
    """A run of which only its result is known.

    Args:
        result: the result.
        path: the file of collected results that holds it.

    Returns:
        The run.
    """
    return RunPart(
        name=f"{result.data} {result.method} {result.budget}",
        id=result.id,
        seed=str(result.seed),
        state="done",
        reason="",
        place=f"collected in {path}",
        commands=(result.command,),
        config=yaml.dump(dict(result.described), Dumper=DUMPER, sort_keys=False),
        **_of_result(result, [result.environment]),
    )


def run_of_folder(folder: RunFolder, condition: Condition) -> RunPart:
    """Read a run from its folder, whatever is left of it.

    Args:
        folder: the run's folder.
        condition: its state, as the store and the scheduler know it.

    Returns:
        The run; its `damage` names each file that cannot be read.
    """
    reading = _Reading()
    name = folder.path.parent.name
    config = reading.of(lambda: read_text(folder.config), "")
    described: Plain = reading.of(lambda: _described(folder.config, config), {})
    environments: Sequence[Environment] = reading.of(folder.environments, ())
    commands: tuple[str, ...] = reading.of(lambda: tuple(dict.fromkeys(read_text(folder.commands).splitlines())), ())
    records: Sequence[Plain] = reading.of(folder.read_metrics, ())
    log: tuple[str, ...] = reading.of(lambda: tuple(folder.log_tail(LOG_LINES)), ())
    result = condition.result
    shown = _of_result(result, environments) if result else _unfinished(name, described, environments, condition.step)
    drawn = curves(records, shown["metric"])
    if condition.state == DAMAGED:
        reading.damage.append(condition.reason)
    return RunPart(
        name=name,
        id=result.id if result else name.rpartition("-")[2],
        seed=str(result.seed) if result else folder.path.name.removeprefix("seed-"),
        state=DAMAGED if reading.damage else condition.state,
        reason=condition.reason,
        place=str(folder.path),
        commands=commands,
        config=config,
        curves=drawn,
        log=log,
        damage=tuple(dict.fromkeys(reading.damage)),
        **shown,
    )


@dataclass
class _Reading:
    """Reads files, any of which may be damaged, and collects the damage."""

    damage: list[str] = field(default_factory=list)

    def of(self, read: Callable[[], Read], otherwise: Read) -> Read:
        """Return what `read` returns; `otherwise` where it finds damage, which is then noted."""
        try:
            return read()
        except Damaged as damage:
            self.damage.append(str(damage))
            return otherwise


def _described(path: Path, config: str) -> Plain:
    """Parse a run's configuration.

    Raises:
        Damaged: it is not a mapping in YAML.
    """
    try:
        values = yaml.safe_load(config) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Damaged(path, f"cannot be read ({error})") from None
    if not isinstance(values, Mapping):
        raise Damaged(path, "is no configuration")
    return values


def _of_result(result: Result, environments: Sequence[Environment]) -> Shown:
    """What a finished run says of itself."""
    facts = {
        "selected by": result.selected_by,
        **{name: number(value, ".4g") for name, value in result.metrics.items()},
        "steps": f"{result.steps:,}",
        "density": f"{result.density:.2%}",
        "active neurons (ANP)": f"{result.anp:.1%}",
        "non-zeros": f"{result.nonzeros:,}",
        "data": result.data_source,
        "seconds": "measured beside other work, or with pauses" if is_disturbed(result) else "",
        **_made_by(environments),
    }
    return {
        "data": result.data,
        "method": result.method,
        "budget": result.budget,
        "metric": result.metric,
        "reported": result.reported,
        "last": result.last,
        "seconds": result.seconds,
        "facts": facts,
        "result": json.dumps(
            {key: value for key, value in result.said.items() if key != "science"}, indent=2, ensure_ascii=False
        ),
    }


def _unfinished(name: str, described: Plain, environments: Sequence[Environment], step: int | None) -> Shown:
    """What is known of a run without a result: from its configuration, or from its folder's name."""
    labels = dict(zip(("data", "method", "budget"), name.split("-"), strict=False))

    def named(axis: str) -> str:
        part = described.get(axis)
        return str(part["name"]) if isinstance(part, dict) and "name" in part else labels.get(axis, "")

    return {
        "data": named("data"),
        "method": named("method"),
        "budget": named("budget"),
        "metric": "",
        "reported": None,
        "last": None,
        "seconds": None,
        "facts": {**({"steps so far": f"{step:,}"} if step is not None else {}), **_made_by(environments)},
        "result": "",
    }


def _made_by(environments: Sequence[Environment]) -> dict[str, str]:
    """Code and hardware of the last start, and the number of starts."""
    if not environments:
        return {}
    last = environments[-1]
    dirty = " with uncommitted changes" if last.uncommitted_changes else ""
    return {
        "commit": (last.commit or f"version {last.chtexp}") + dirty,
        "hardware": ", ".join([last.cpu, f"{last.threads} threads", *last.gpus]),
        "host": last.host,
        "processes": str(last.processes),
        "libraries": ", ".join(f"{name} {version}" for name, version in last.libraries.versions.items()),
        "system": last.system,
        "starts": str(len(environments)),
    }
