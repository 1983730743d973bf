"""conf/paper/ids.lock.json: the identity of every cell of the project's grids, so that to know one is to look it up.

It is written by `scripts/update_ids.py`, and a change of an identity is a line of its diff. It holds as long as the files that
descriptions are composed of, and the fields that descriptions have, are those that it was made from; otherwise identities are
composed one by one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

from pydantic import BaseModel

from chtexp.config.resources import conf_dir
from chtexp.config.run import SCIENCE as PARTS
from chtexp.config.run import Run
from chtexp.config.typed import Description
from chtexp.cost.count import Cost
from chtexp.errors import UserError
from chtexp.paper.grid import BUDGETS, Grid, select
from chtexp.store.files import read_json

FILE = Path("paper/ids.lock.json")
SCIENCE = (
    "train.yaml",
    "data",
    "model",
    "task",
    "method",
    "budget",
    "hardware",
)  # of conf/, what identities are made of


class LockedCost(NamedTuple):
    """The cost of a run, as in `Cost`.

    Attributes:
        parameters: of the dense model.
        nonzeros: at the final density.
        dense_flops: of the whole training of the dense model.
        sparse_flops: of the whole training.
        steps: optimizer steps of the whole training.
    """

    parameters: int
    nonzeros: int
    dense_flops: float
    sparse_flops: float
    steps: int


class LockedRun(Description):
    """What the lock knows of a run.

    Attributes:
        data: the name of its data.
        method: the name of its method.
        budget: the name of its budget.
        cost: its cost; None where that depends on data that are prepared first.
    """

    data: str
    method: str
    budget: str
    cost: LockedCost | None

    def known_cost(self) -> Cost | None:
        """Return the cost as `chtexp.cost` has it; None where the lock does not know it."""
        return Cost(*self.cost) if self.cost else None


Table = dict[str, dict[str, dict[str, str]]]  # identities by row, column and budget


class Lock(Description):
    """The identities of all cells, and what they were made from.

    Attributes:
        conf: a hash of the files that identities are made of, from `hash_of_conf`.
        grids: a hash of each grid's overrides.
        cells: the identities of each table.
        runs: the runs by identity.
    """

    conf: str
    grids: dict[str, str]
    cells: dict[str, Table]
    runs: dict[str, LockedRun]


@cache
def read_lock() -> Lock | None:
    """Read the lock of `conf/`.

    Returns:
        The lock; None where it cannot be read or does not hold any longer, which is said once.
    """
    path = conf_dir() / FILE
    try:
        lock = Lock.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        print(f"chtexp: {path} cannot be read ({why}); scripts/update_ids.py writes it anew", file=sys.stderr)
        return None
    if lock.conf != hash_of_conf():
        print(
            f"chtexp: {path.name} is not of conf/ and code as they are: identities are composed, which takes longer",
            file=sys.stderr,
        )
        return None
    return lock


def hash_of_conf() -> str:
    """Hash the names and contents of the files that descriptions are composed of, and the fields of descriptions."""
    root, digest = conf_dir(), hashlib.sha256()
    for path in _files(root / name for name in SCIENCE):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for line in sorted(line for model in _models_of_science() for line in _fields(model)):
        digest.update(line.encode() + b"\0")
    return digest.hexdigest()


def _models_of_science() -> set[type[BaseModel]]:
    """The descriptions that identities are made of, and those within them."""
    found: set[type[BaseModel]] = set()
    waiting = [model for part in PARTS for model in _models(Run.model_fields[part].annotation)]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            waiting += [inner for field in model.model_fields.values() for inner in _models(field.annotation)]
    return found


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """What an identity takes from a description: the names of its fields, their defaults, and which are no part of it."""
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name} {field.default!r} {field.json_schema_extra}"


def hash_of_grid(grid: Grid) -> str:
    """Hash what the cells of a grid ask for at each of BUDGETS."""
    cells = [(budget, cell) for budget in BUDGETS for cell in select(grid, [f"budget={budget}"]).cells]
    words = [[budget, cell.row, cell.column, *cell.overrides] for budget, cell in cells]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def _files(places: Iterable[Path]) -> Iterable[Path]:
    for place in places:
        yield from [place] if place.is_file() else sorted(place.rglob("*.yaml"))


def write_lock(path: Path, lock: Lock) -> None:
    """Write the lock: a line a cell and a line a run; tables are ordered by name, runs by identity."""
    grids = ",\n".join(f"{json.dumps(table)}: {json.dumps(digest)}" for table, digest in sorted(lock.grids.items()))
    lines = ["{", f'"conf": {json.dumps(lock.conf)},', '"grids": {', grids, "},", '"cells": {']
    tables = [
        f"{json.dumps(table)}: {{\n"
        + ",\n".join(
            f"  {json.dumps(row)}: {{\n"
            + ",\n".join(f"    {json.dumps(column)}: {json.dumps(ids)}" for column, ids in columns.items())
            + "\n  }"
            for row, columns in rows.items()
        )
        + "\n}"
        for table, rows in sorted(lock.cells.items())
    ]
    runs = [f"{json.dumps(name)}: {json.dumps(run.model_dump())}" for name, run in sorted(lock.runs.items())]
    lines += [",\n".join(tables), "},", '"runs": {', ",\n".join(runs), "}", "}"]
    path.write_text("\n".join(lines) + "\n")


class Stale(UserError):
    """The error that the lock names another identity than the one that was composed.

    Args:
        locked: the identity in the lock.
        composed: the identity that was composed.
    """

    def __init__(self, locked: str, composed: str) -> None:
        super().__init__(
            f"{FILE.name} has the identity {locked} where {composed} is composed: scripts/update_ids.py writes it anew"
        )
