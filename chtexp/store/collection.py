"""Results of many runs in one file, Parquet or JSON lines: one record a run, identified by its id and seed.

A damaged record is passed over and reported; the others of the file are read.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chtexp.errors import UserError, unknown
from chtexp.store.damage import Damaged, pass_over
from chtexp.store.evaluations import evaluated, with_scores
from chtexp.store.files import UNREADABLE, free_name, parsed, write_atomically
from chtexp.store.folder import RunFolder
from chtexp.store.many import many_records
from chtexp.store.records import Environment
from chtexp.store.results import Result
from chtexp.system.locks import locked

Key = tuple[str, int]  # id and seed
Collection = dict[Key, Result]
Say = Callable[[Damaged], object]
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
NEVER_NULL = ("schema", "deviations", "zeroshot")  # in Parquet: what a result does not say at all
JSON = {b"chtexp": b"json"}  # beside a column of a Parquet file whose values are written as JSON


def results_below(runs: Path, say: Say = pass_over) -> Collection:
    """Read every result below a folder of runs; folders that are not named as a run's (copies) are left out.

    Args:
        runs: the folder of runs.
        say: called with each damaged result.

    Returns:
        The results by id and seed.

    Raises:
        UserError: a run is there twice, with different numbers.
    """
    with many_records():
        return by_identity((result, str(folder.path)) for folder, result in _whole(RunFolder.every(runs), say))


def _whole(folders: Iterable[RunFolder], say: Say) -> Iterator[tuple[RunFolder, Result]]:
    for folder in folders:
        try:
            if folder.is_of_a_run and (result := folder.evaluated()) is not None:
                yield folder, result
        except Damaged as damage:
            say(damage)


def read_collection(path: Path, say: Say = pass_over) -> Collection:
    """Read a file that `write_collection` wrote.

    Args:
        path: a Parquet or JSON-lines file.
        say: called with each damaged record.

    Returns:
        The results by id and seed.

    Raises:
        Damaged: the file cannot be read, or no record is whole.
        UserError: another suffix, or a run that is there twice with different numbers.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, and collected results are a file; a folder of runs is paths.runs={path}")
    check_suffix(path)
    if not path.exists():
        raise UserError(f"there is no file {path}; 'chtexp collect --output {path}' writes one")
    try:
        records, values_of = (_rows if path.suffix == ".parquet" else _lines)(path)
    except UNREADABLE as error:
        raise Damaged(path, f"cannot be read as a collection of results ({error})") from None
    whole, damaged = [], []
    for number, record in enumerate(records, 1):
        values: object = None
        try:
            values = values_of(record)
            whole.append(Result.of(values))
        except UNREADABLE as error:
            damaged.append(Damaged(path, f"{_called(values) or f'record {number}'}: {error}"))
    if damaged and not whole:
        raise Damaged(path, f"cannot be read as a collection of results: {damaged[0].why}")
    for damage in damaged:
        say(damage)
    return by_identity((result, str(path)) for result in whole)


def _lines(path: Path) -> tuple[Sequence[Any], Callable[[Any], object]]:
    """The lines of a file, and the function that parses one."""
    return path.read_bytes().splitlines(), parsed


def _rows(path: Path) -> tuple[Sequence[Any], Callable[[Any], object]]:
    """The rows of a Parquet file, and the function that parses one."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        rows = table.to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    marked = {field.name for field in table.schema if field.metadata and JSON.items() <= field.metadata.items()}
    known = bool(marked)  # files written before say of no column how it is written

    def values_of(row: Mapping[str, object]) -> object:
        said = {key: value for key, value in row.items() if value is not None or key not in NEVER_NULL}
        return {key: _read(value, marked=key in marked, known=known) for key, value in said.items()}

    return rows, values_of


def _read(value: object, *, marked: bool, known: bool) -> object:
    """Parse a value of a Parquet column.

    Args:
        value: the value.
        marked: whether the column is marked as JSON.
        known: whether the file marks such columns at all.

    Returns:
        The value, parsed where it is JSON.

    Raises:
        ValueError: a marked value is not JSON.
    """
    if not isinstance(value, str) or not (marked or (not known and value[:1] in ("{", "["))):
        return value
    try:
        return parsed(value.encode())
    except ValueError:
        if marked:
            raise
        return value


def _called(values: object) -> str:
    """The id and seed of a record, where it has them."""
    found = [str(values[key])[:20] for key in ("id", "seed") if key in values] if isinstance(values, dict) else []
    return " seed ".join(found)


def write_collection(path: Path, collection: Collection) -> None:
    """Write a collection atomically, one record a run, ordered by data, method, budget, id and seed.

    The folder of runs is removed from commands, since it belongs to one machine.

    Args:
        path: the file; its suffix, one of SUFFIXES, decides the format.
        collection: the results.

    Raises:
        UserError: another suffix.
    """
    check_suffix(path)
    results = sorted(map(_portable, collection.values()), key=lambda r: (r.data, r.method, r.budget, r.id, r.seed))
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(result.plain, allow_nan=False) + "\n" for result in results)
        write_atomically(path, lambda file: file.write(text.encode()))
        return
    import pyarrow
    import pyarrow.parquet

    names = dict.fromkeys(key for result in results for key in result.plain)
    columns = {name: [result.plain.get(name) for result in results] for name in names}
    nested = {name for name, values in columns.items() if not _is_flat(values)}
    arrays = [pyarrow.array(_as_json(values) if name in nested else values) for name, values in columns.items()]
    fields = [
        pyarrow.field(name, array.type, metadata=JSON if name in nested else None)
        for name, array in zip(columns, arrays, strict=True)
    ]
    table = pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields))
    write_atomically(path, lambda file: pyarrow.parquet.write_table(table, file, write_page_checksum=True))


def _is_flat(values: Sequence[object]) -> bool:
    """Whether a column can hold the values as they are: all of one type, and integers of 64 bits."""
    kinds = {type(value) for value in values if value is not None}
    return kinds in (set(), {str}, {bool}, {float}) or (kinds == {int} and _fit(values))


def _fit(values: Sequence[object]) -> bool:
    return all(not isinstance(value, int) or abs(value) < 2**63 for value in values)


def _as_json(values: Sequence[object]) -> list[str | None]:
    return [None if value is None else json.dumps(value) for value in values]


def add_to_collection(
    path: Path, more: Mapping[str, Collection], accept: Callable[[str], object] | None = None
) -> Collection:
    """Add results to the file at `path`, which need not exist.

    Several processes may add to one file at once: each waits for the lock `.NAME.lock`, a file that stays beside it. If a record
    of the file is damaged, the file as it was is kept beside it, and that is reported.

    Args:
        path: the file of collected results.
        more: further results, by where they come from.
        accept: as of `merged`; the file comes first.

    Returns:
        All results, as the file holds them now.

    Raises:
        UserError: two places hold different numbers for a run, and `accept` is None.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        damaged: list[Damaged] = []
        before = read_collection(path, damaged.append) if path.exists() else {}
        together = merged({str(path): before, **more}, accept)
        if together != before:
            if damaged:
                shutil.copyfile(path, aside := free_name(path))
            for damage in damaged:
                pass_over(Damaged(damage.path, f"{damage.why}; it is kept in {aside}"))
            write_collection(path, together)
        else:
            for damage in damaged:
                pass_over(damage)
    return together


def merged(collections: Mapping[str, Collection], accept: Callable[[str], object] | None = None) -> Collection:
    """Merge collections into one.

    Args:
        collections: the collections, by where they come from; the first ones take precedence.
        accept: called with every run for which two places hold different numbers.

    Returns:
        All results; scores of evaluations are joined.

    Raises:
        UserError: there are such runs, and `accept` is None.
    """
    together: Collection = {}
    origin: dict[Key, str] = {}
    conflicts = []
    for where, collection in collections.items():
        for key, result in collection.items():
            if key in together and _differing(together[key], result):
                conflicts.append(f"{_shown(together[key], result)} ({origin[key]}, {where})")
            origin.setdefault(key, where)
            together[key] = with_scores(together[key], result.zeroshot or ()) if key in together else result
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
    """Index results by id and seed.

    Args:
        results: each with the place that it comes from.

    Returns:
        The results by id and seed.

    Raises:
        UserError: a run is there twice, with different numbers.
    """
    found: Collection = {}
    for result, where in results:
        if result.key in found and _differing(found[result.key], result):
            raise UserError(f"{where} holds a run twice, with other numbers: {_shown(found[result.key], result)}")
        found[result.key] = result
    return found


def _facts(result: Result) -> dict[str, object]:
    return {name: getattr(result, name) for name in NUMBERS} | evaluated(result)


def _differing(one: Result, other: Result) -> list[str]:
    """The facts in which two copies of a run differ; one of them may have been evaluated on more tasks."""
    facts, others = _facts(one), _facts(other)
    return [name for name in facts if name in others and facts[name] != others[name]]


def _shown(one: Result, other: Result) -> str:
    facts, others = _facts(one), _facts(other)
    values = ", ".join(f"{name} {facts[name]} and {others[name]}" for name in _differing(one, other))
    hosts = " and ".join(_machine(result.environment) for result in (one, other))
    return f"{one.data} {one.method} {one.budget} ({one.id}) seed {one.seed} of {hosts}: {values}"


def _machine(environment: Environment) -> str:
    many = environment.processes > 1
    return environment.host + (f" ({environment.processes} processes)" if many else "")


def _portable(result: Result) -> Result:
    try:
        words = shlex.split(result.command)
    except ValueError:  # what was typed in no shell that we know
        return result
    command = shlex.join(word for word in words if not word.startswith("paths.runs="))
    return result if command == result.command else result.changed(command=command)


def check_suffix(path: Path) -> None:
    """Check that a collection can be written to `path`.

    Raises:
        UserError: its suffix is none of SUFFIXES.
    """
    if path.suffix not in SUFFIXES:
        raise unknown("suffix", path.suffix, SUFFIXES)
