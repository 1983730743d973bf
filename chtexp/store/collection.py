"""Results of many runs in one file, Parquet or JSON lines: one record a run, known by its id and seed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from chtexp.errors import UserError, unknown
from chtexp.locks import locked
from chtexp.store.damage import lacking
from chtexp.store.evaluations import KEY, evaluated, with_scores
from chtexp.store.files import write_atomically
from chtexp.store.folder import RunFolder

Result = Mapping[str, Any]
Key = tuple[str, int]  # id and seed
Collection = dict[Key, Result]
NUMBERS = (
    "metric",
    "reported",
    "last",
    "best",
    "best_step",
    "validation_selected",
    "metrics",
    "steps",
    "links",
    "density",
)
SUFFIXES = (".parquet", ".jsonl")


def results_below(runs: Path) -> Collection:
    """Every result below a folder of runs."""
    return by_identity(
        (result, str(folder.path)) for folder in RunFolder.every(runs) if (result := folder.evaluated_result())
    )


def read_collection(path: Path) -> Collection:
    """What `write_collection` wrote."""
    check_suffix(path)
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            rows = pyarrow.parquet.read_table(path).to_pylist()
            results = [
                {key: json.loads(value) if _is_nested(value) else value for key, value in row.items()} for row in rows
            ]
        else:
            results = [json.loads(line) for line in path.read_text().splitlines()]
        for result in results:
            if wrong := lacking(result):
                raise UserError(f"{path} cannot be read as a collection of results: {_name(result)}: {wrong}")
        return by_identity((result, str(path)) for result in results)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} cannot be read as a collection of results ({error})") from None


def _name(result: object) -> str:
    found = [str(result[key]) for key in ("id", "seed") if key in result] if isinstance(result, Mapping) else []
    return " seed ".join(found) or "one of them"


def write_collection(path: Path, collection: Collection) -> None:
    """One record a run, in the order of data, method, budget, id and seed; whole or not there.

    Commands leave out the folder of runs, which is one machine's own.
    """
    check_suffix(path)
    results = sorted(
        map(_portable, collection.values()), key=lambda r: (r["data"], r["method"], r["budget"], r["id"], r["seed"])
    )
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(result, allow_nan=False) + "\n" for result in results)
        write_atomically(path, lambda file: file.write(text.encode()))
        return
    import pyarrow
    import pyarrow.parquet

    columns = dict.fromkeys(key for result in results for key in result)
    rows = [{key: _flat(result.get(key)) for key in columns} for result in results]
    table = pyarrow.Table.from_pylist(rows)
    write_atomically(path, lambda file: pyarrow.parquet.write_table(table, file))


def add_to_collection(
    path: Path, more: Mapping[str, Collection], accept: Callable[[str], object] | None = None
) -> Collection:
    """What the file at `path` holds, if it is there, and `more`, by where they are from: as one, and in the file.

    accept: of `merged`; the file comes first. Several processes may add to one file at once: each waits for its turn, and a
    file that stays beside it, `.NAME.lock`, stands for that.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), lambda: None):
        before = read_collection(path) if path.exists() else {}
        together = merged({str(path): before, **more}, accept)
        if together != before:
            write_collection(path, together)
    return together


def merged(collections: Mapping[str, Collection], accept: Callable[[str], object] | None = None) -> Collection:
    """All of them, by where they are from, as one.

    accept: told of every run of which two places hold other numbers, and the first one's are taken; without it UserError
    shows them all.
    """
    together: Collection = {}
    origin: dict[Key, str] = {}
    conflicts = []
    for where, collection in collections.items():
        for key, result in collection.items():
            if key in together and _differing(together[key], result):
                conflicts.append(f"{_shown(together[key], result)} ({origin[key]}, {where})")
            origin.setdefault(key, where)
            together[key] = with_scores(together[key], result.get(KEY) or []) if key in together else result
    if accept is not None:
        for conflict in conflicts:
            accept(conflict)
    elif conflicts:
        raise UserError(
            f"the same run has other numbers in two places: {'; '.join(conflicts)}. Remove the one that is wrong, train the "
            "run again, or take those of the first place (--keep-first)"
        )
    return together


def by_identity(results: Iterable[tuple[Result, str]]) -> Collection:
    """Results by id and seed. Each with where it is from; raises UserError of a run that is there twice with other numbers."""
    found: Collection = {}
    for result, where in results:
        key = (result["id"], result["seed"])
        if key in found and _differing(found[key], result):
            raise UserError(f"{where} holds a run twice, with other numbers: {_shown(found[key], result)}")
        found[key] = result
    return found


def _facts(result: Result) -> dict[str, Any]:
    return {name: result.get(name) for name in NUMBERS} | evaluated(result)


def _differing(one: Result, other: Result) -> list[str]:
    """In which facts two copies of a run differ; one of them may have been evaluated on more tasks."""
    facts, others = _facts(one), _facts(other)
    return [name for name in facts if name in others and facts[name] != others[name]]


def _shown(one: Result, other: Result) -> str:
    facts, others = _facts(one), _facts(other)
    values = ", ".join(f"{name} {facts[name]} and {others[name]}" for name in _differing(one, other))
    hosts = " and ".join(_machine(result["environment"]) for result in (one, other))
    return f"{one['data']} {one['method']} {one['budget']} ({one['id']}) seed {one['seed']} of {hosts}: {values}"


def _machine(environment: Mapping[str, Any]) -> str:
    processes = environment.get("processes", 1)
    return f"{environment.get('host')}" + (f" ({processes} processes)" if processes > 1 else "")


def _portable(result: Result) -> Result:
    words = shlex.split(result["command"])
    return {**result, "command": shlex.join(word for word in words if not word.startswith("paths.runs="))}


def _flat(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, Mapping | list) else value


def _is_nested(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("{", "[")


def check_suffix(path: Path) -> None:
    """Raise UserError unless it is one of SUFFIXES."""
    if path.suffix not in SUFFIXES:
        raise unknown("suffix", path.suffix, SUFFIXES)
