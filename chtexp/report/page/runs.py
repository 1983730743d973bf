"""One run as its page shows it, read off its folder piece by piece: what cannot be read is told, and the rest is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from chtexp.report.layout import is_disturbed
from chtexp.report.page.curves import Curve, curves
from chtexp.report.words import number
from chtexp.store import DAMAGED, Condition, RunFolder
from chtexp.store.damage import UNREADABLE
from chtexp.store.files import read_json

LOG_LINES = 40
Read = TypeVar("Read")


@dataclass(frozen=True)
class RunPart:
    """A run. place: its folder, or the file of collected results that has it. damage: what of it could not be read.

    reported, last (at the last evaluation): in the metric's unit. facts: what it is and what it came to, by name.
    result, config: whole, as text.
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
        """Where it stands on the page."""
        return anchor("run", self.id, self.seed)


def anchor(*names: str) -> str:
    """`names` as one word that may stand in an address, whatever is in them; others give other words."""
    return ".".join(re.sub(r"[^\w-]", lambda found: f"~{ord(found[0]):x}", name) for name in names)


def collected_run(result: Mapping[str, Any], path: Path) -> RunPart:
    """A run of which there is only its result, in a file of collected results."""
    return RunPart(
        name=f"{result['data']} {result['method']} {result['budget']}",
        id=str(result["id"]),
        seed=str(result["seed"]),
        state="done",
        reason="",
        place=f"collected in {path}",
        commands=(str(result["command"]),),
        config=yaml.safe_dump(result["science"], sort_keys=False),
        **_of_result(result, [result["environment"]]),
    )


def run_of_folder(folder: RunFolder, condition: Condition) -> RunPart:
    """The run in `folder`, whatever is left of it. condition: its state, as the store and the scheduler have it."""
    reading = _Reading()
    name = folder.path.parent.name
    config: str = reading.of(folder.config, lambda path: path.read_text(), "")
    described: dict[str, Any] = reading.of(folder.config, lambda path: dict(yaml.safe_load(path.read_text())), {})
    environments: list[dict[str, Any]] = reading.of(
        folder.environment, lambda path: [dict(one) for one in read_json(path)], []
    )
    commands: tuple[str, ...] = reading.of(
        folder.commands, lambda path: tuple(dict.fromkeys(path.read_text().splitlines())), ()
    )
    records: list[dict[str, Any]] = reading.of(folder.metrics, lambda _: folder.read_metrics(), [])
    log: tuple[str, ...] = reading.of(folder.log, lambda _: tuple(folder.log_tail(LOG_LINES)), ())
    result = condition.result
    shown = _of_result(result, environments) if result else _unfinished(name, described, environments, condition.step)
    drawn: tuple[Curve, ...] = reading.of(folder.metrics, lambda _: curves(records, shown["metric"]), ())
    if condition.state == DAMAGED:
        reading.damage.append(condition.reason)
    return RunPart(
        name=name,
        id=str(result["id"]) if result else name.rpartition("-")[2],
        seed=str(result["seed"]) if result else folder.path.name.removeprefix("seed-"),
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
    """Reads files of which any may be damaged."""

    damage: list[str] = field(default_factory=list)

    def of(self, path: Path, read: Callable[[Path], Read], otherwise: Read) -> Read:
        """What `read` makes of `path`; `otherwise` where it is not there, or damaged, which is then noted."""
        try:
            return read(path) if path.exists() else otherwise
        except (*UNREADABLE, yaml.YAMLError) as error:
            said = " ".join(str(error).split())
            self.damage.append(said if str(path) in said else f"{path} cannot be read ({type(error).__name__}: {said})")
            return otherwise


def _of_result(result: Mapping[str, Any], environments: list[dict[str, Any]]) -> dict[str, Any]:
    """What a finished run says of itself, as fields of RunPart."""
    metrics = result.get("metrics")
    facts = {
        "selected by": str(result["selected_by"]),
        **(
            {name: number(_float(value), ".4g") for name, value in metrics.items()} if isinstance(metrics, dict) else {}
        ),
        "steps": f"{result['steps']:,}",
        "density": f"{result['density']:.2%}",
        "active neurons (ANP)": f"{result['anp']:.1%}",
        "non-zeros": f"{result['nonzeros']:,}",
        "data": str(result["data_source"]),
        "seconds": "measured beside other work, or with pauses" if is_disturbed(result) else "",
        **_made_by(environments),
    }
    return {
        "data": str(result["data"]),
        "method": str(result["method"]),
        "budget": str(result["budget"]),
        "metric": str(result["metric"]),
        "reported": result["reported"],
        "last": result["last"],
        "seconds": result["seconds"],
        "facts": facts,
        "result": json.dumps(
            {key: value for key, value in result.items() if key != "science"}, indent=2, ensure_ascii=False
        ),
    }


def _unfinished(
    name: str, described: Mapping[str, Any], environments: list[dict[str, Any]], step: int | None
) -> dict[str, Any]:
    """What is known of a run without a result, as fields of RunPart: from its config, or from its folder's name."""
    labels = dict(zip(("data", "method", "budget"), name.split("-"), strict=False))
    parts = {axis: described.get(axis) for axis in ("data", "method", "budget")}
    named = {axis: str(part["name"]) for axis, part in parts.items() if isinstance(part, dict) and "name" in part}
    facts = {**({"steps so far": f"{step:,}"} if step is not None else {}), **_made_by(environments)}
    fields = {axis: named.get(axis, labels.get(axis, "")) for axis in parts}
    return {**fields, "metric": "", "reported": None, "last": None, "seconds": None, "facts": facts}


def _made_by(environments: list[dict[str, Any]]) -> dict[str, str]:
    """Code and hardware of the last start; how many there were."""
    if not environments:
        return {}
    last = environments[-1]
    dirty = " with uncommitted changes" if last.get("uncommitted_changes") else ""
    gpus = last.get("gpus")
    hardware = [
        str(last.get("cpu")),
        f"{last.get('threads')} threads",
        *(map(str, gpus) if isinstance(gpus, list) else ()),
    ]
    libraries = last.get("libraries")
    return {
        "commit": (str(last.get("commit")) if last.get("commit") else f"version {last.get('chtexp')}") + dirty,
        "hardware": ", ".join(hardware),
        "host": str(last.get("host")),
        "processes": str(last.get("processes", 1)),
        "libraries": ", ".join(f"{name} {version}" for name, version in libraries.items())
        if isinstance(libraries, dict)
        else "",
        "system": str(last.get("system", "")),
        "starts": str(len(environments)),
    }


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
