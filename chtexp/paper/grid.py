"""A table of the paper as a grid of runs: rows are methods, columns data sets, and each cell a list of overrides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from chtexp.config.resources import read_yaml
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError, unknown
from chtexp.paper.grid_figure import GridFigure, Names
from chtexp.store import Result
from chtexp.store.evaluations import read_off

Overrides = tuple[str, ...]
BUDGETS = ("paper", "cpu", "smoke")
ADDED = "added"  # the group of rows that a person adds
NAMES = ("row", "column")  # by which cells may be chosen
Seed = Annotated[int, Field(ge=0)]
ScoreName = Annotated[str, Field(pattern=r"^(accuracy|matthews|shares\.\w+)$")]


class GridException(Description):
    """Overrides of certain cells alone, where a method differs on a data set."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    overrides: Overrides


class GridMean(Description):
    """Two rows compared over several columns: their means, and a Wilcoxon signed-rank test."""

    rows: tuple[str, str]
    columns: Names


class GridClaim(Description):
    """In each of `columns` (or means), each row of `above` has a higher number than each of `below`, whichever is better.

    exact: tested by the exact permutation of signs instead of the paired t-test.
    """

    above: Names
    below: Names
    columns: Names
    exact: bool = False


class GridReading(Description):
    """Cells are read off an evaluation of their runs (`chtexp zeroshot`), instead of what the runs report.

    tasks: by column; a cell is the mean over its tasks. score: of all rows or by row, `accuracy`, `matthews` or `shares.LABEL`, a
    label by its number or its name.
    """

    evaluation: Literal["zeroshot"]
    tasks: dict[str, Names]
    score: ScoreName | dict[str, ScoreName]

    def of(self, row: str, column: str) -> tuple[Names, str]:
        """The tasks and the score of a cell."""
        if isinstance(self.score, str):
            return self.tasks[column], self.score
        if row not in self.score:
            raise UserError(f"row '{row}' cannot be added: the rows of this table are scores of one run, not runs")
        return self.tasks[column], self.score[row]


class Grid(Description):
    """rows stand in groups, within which they compete; `reference` is the row that a star is measured against.

    metric: what its runs report. settings: of all cells that do not set these keys themselves, e.g. the paper's precision;
    who overrides one asks for other runs than the paper's. budgets: what all cells are changed by at a budget, e.g. a smaller
    model at `cpu`.
    means: by a name of their own. claims: orders that the paper reports, to be checked one by one. figure: how it is drawn.
    reads: where the numbers come from, if not from what the runs report. digits: of the metric, after the point.
    """

    title: str
    metric: str = "accuracy"
    digits: Annotated[int, Field(ge=0)] = 2
    seeds: tuple[Seed, ...]
    columns: dict[str, Overrides]
    groups: dict[str, dict[str, Overrides]]
    reference: str | None = None
    exceptions: tuple[GridException, ...] = ()
    settings: Overrides = ()
    budgets: dict[str, Overrides] = Field(default_factory=dict)
    means: dict[str, GridMean] = Field(default_factory=dict)
    claims: tuple[GridClaim, ...] = ()
    figure: GridFigure | None = None
    notes: tuple[str, ...] = ()
    reads: GridReading | None = None

    @model_validator(mode="after")
    def _names_are_those_of_rows_and_columns(self) -> Grid:
        rows = [row for members in self.groups.values() for row in members]
        if self.reference is not None:
            _refuse_others("reference row", [self.reference], rows)
        if self.reads is not None:
            _refuse_others("column of tasks", self.reads.tasks, self.columns)
            _refuse_others("column without tasks", self.columns, self.reads.tasks)
            if not isinstance(self.reads.score, str):
                _refuse_others("row of a score", self.reads.score, rows)
                _refuse_others("row without a score", rows, self.reads.score)
        for name, mean in self.means.items():
            _refuse_others("row of a mean", mean.rows, rows)
            _refuse_others("column of a mean", mean.columns, self.columns)
            if name in self.columns:
                raise UserError(f"'{name}' is both a column and a mean; give the mean another name")
        if self.figure is not None:
            _refuse_others("row of a figure", self.figure.rows(), rows)
        for claim in self.claims:
            _refuse_others("row of a claim", [*claim.above, *claim.below], rows)
            _refuse_others("column of a claim", claim.columns, [*self.columns, *self.means])
            for mean in (self.means[column] for column in claim.columns if column in self.means):
                _refuse_others("row of a claim about a mean", [*claim.above, *claim.below], mean.rows)
        return self

    def shown(self, row: str, column: str, results: Iterable[Result]) -> list[Result]:
        """The results of a cell's runs as the cell shows them: as they are, or read off; what is not evaluated is left out."""
        if self.reads is None:
            return list(results)
        tasks, score = self.reads.of(row, column)
        read = (read_off(result, tasks, score, self.metric) for result in results)
        return [result for result in read if result is not None]


def _refuse_others(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)


@dataclass(frozen=True)
class Cell:
    """One place in a table; `overrides` describe its run but for the seed.

    own: those that the grid itself has for it, at the paper's budget; none of a row that was added.
    """

    group: str
    row: str
    column: str
    overrides: Overrides
    own: Overrides = ()


def fullest_first(budgets: Iterable[str]) -> list[str]:
    """Names of budgets, the one of most training first; those of one's own before the others."""
    return sorted(budgets, key=lambda budget: (BUDGETS.index(budget) if budget in BUDGETS else -1, budget))


def grid_names(folders: Sequence[Path]) -> list[str]:
    """Every grid in `<folder>/paper/`."""
    return sorted({path.stem for folder in folders for path in (folder / "paper").glob("*.yaml")})


def load_grid(name: str, folders: Sequence[Path]) -> Grid:
    """The grid `<folder>/paper/<name>.yaml` of the first folder that has it."""
    for folder in folders:
        path = folder / "paper" / f"{name}.yaml"
        if path.exists():
            return describe(Grid, read_yaml(path), f"paper/{name}.yaml")
    raise unknown("table", name, grid_names(folders))


@dataclass(frozen=True)
class Selection:
    """The cells and seeds of a grid that a person asked for, and what they changed in all of them.

    seeds_asked: whether the seeds are the person's own and not the grid's.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    seeds_asked: bool
    changes: tuple[str, ...]


def select(grid: Grid, overrides: Sequence[str], folders: Sequence[Path] = ()) -> Selection:
    """The part of `grid` that `overrides` ask for.

    An override of a key that every cell sets (`data=mnist`, `method=set,rigl`) chooses the cells with that value, and
    `row=CHTs,SET column=mnist` those of these names; `+method=mine` adds a row; `seed=0,1` sets the seeds; anything else
    applies to every cell that does not itself set that key, before what the grid says of the budget. A value whose file in
    `folders` says `stands_in_for: emnist` chooses the cells of emnist, and takes its place there. Raises UserError when no
    cell has the value.
    """
    seeds, changes, rows = grid.seeds, [], dict(grid.groups)
    choices: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    axes = _axes(grid)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"cannot read '{override}': an override is key=value, e.g. data=mnist or budget=smoke")
        if key == "seed":
            seeds = _seeds(value)
        elif key == "+method":
            rows[ADDED] = rows.get(ADDED, {}) | _added(value.split(","), grid)
        elif key in NAMES:
            names[key] = value.split(",")
        elif key in axes:
            choices[key] = value.split(",")
        elif get_close_matches(key, NAMES, cutoff=0.8):  # no key of a run is so near
            raise UserError(
                f"{unknown('key of this table', key, [*NAMES, *axes, 'seed'])}; a key of the runs, e.g. budget, changes all cells"
            )
        else:
            changes.append(override)
    budget = _settings(changes).get("budget", "paper")
    of_all = _merged(grid.settings, _merged(grid.budgets.get(budget, ()), changes))
    cells = tuple(
        Cell(group, row, column, _merged(of_all, said), () if group == ADDED else _merged(grid.settings, said))
        for group, members in rows.items()
        for row, row_overrides in members.items()
        for column, column_overrides in grid.columns.items()
        for said in [[*column_overrides, *row_overrides, *_exceptions(grid, row, column)]]
    )
    for name, wanted in names.items():
        known = {getattr(cell, name): None for cell in cells}
        for value in wanted:
            if value not in known:
                raise unknown(f"{name} of this table", value, known)
        cells = tuple(cell for cell in cells if getattr(cell, name) in wanted)
    for key, wanted in choices.items():
        cells = _stood_in(cells, key, wanted, folders)
        values = {_settings(cell.overrides)[key] for cell in cells}
        for value in wanted:
            if value not in values:
                hint = "; a row of your own is added by +method=..." if key == "method" else ""
                raise UserError(f"{unknown(f'{key} of this table', value, values)}{hint}")
        chosen = {*wanted, *(rows.get(ADDED, {}) if key == "method" else ())}
        cells = tuple(cell for cell in cells if _settings(cell.overrides)[key] in chosen)
    asked = any(override.startswith("seed=") for override in overrides)
    return Selection(grid, cells, seeds, asked, tuple(changes))


def _stood_in(cells: tuple[Cell, ...], key: str, wanted: Sequence[str], folders: Sequence[Path]) -> tuple[Cell, ...]:
    """`cells`, with each value of `wanted` that none of them has in the place of the value that it stands in for."""
    for value in wanted:
        values = {_settings(cell.overrides)[key] for cell in cells}
        original = None if value in values else _stands_in_for(key, value, folders)
        if original in wanted:
            raise UserError(f"{key}={value} stands in for {key}={original}, and a cell shows one of them: ask for one")
        if original in values:
            cells = tuple(_replaced(cell, f"{key}={original}", f"{key}={value}") for cell in cells)
    return cells


def _stands_in_for(axis: str, choice: str, folders: Sequence[Path]) -> str | None:
    """What the file of a choice says that it stands in for, if anything."""
    paths = (folder / axis / f"{choice}.yaml" for folder in folders)
    path = next((path for path in paths if path.is_file()), None)
    said = read_yaml(path).get("stands_in_for") if path else None
    return None if said is None else str(said)


def _replaced(cell: Cell, old: str, new: str) -> Cell:
    """`cell` with an override in the place of another: no change of its run that a table would have to name."""
    swap = {old: new}
    overrides, own = (tuple(swap.get(word, word) for word in words) for words in (cell.overrides, cell.own))
    return replace(cell, overrides=overrides, own=own)


def _added(methods: Sequence[str], grid: Grid) -> dict[str, Overrides]:
    """Rows of these methods. UserError where a row of the grid has that name."""
    known = [row for members in grid.groups.values() for row in members]
    for name in methods:
        if name in known:
            raise UserError(
                f"+method={name} would be a second row '{name}'; copy method/{name}.yaml under another name"
            )
    return {name: (f"method={name}",) for name in methods}


def _axes(grid: Grid) -> set[str]:
    """The configuration groups (`data`, `method`; not values like `method.sparsity`) that every cell sets."""
    rows = [_settings(overrides).keys() for members in grid.groups.values() for overrides in members.values()]
    columns = [_settings(overrides).keys() for overrides in grid.columns.values()]
    return {key for key in set.intersection(*map(set, rows)) | set.intersection(*map(set, columns)) if "." not in key}


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    return {key: value for key, _, value in (override.partition("=") for override in overrides)}


def _merged(changes: Sequence[str], own: Sequence[str]) -> Overrides:
    """`own` settings, of which later ones win, and those of `changes` that they leave open."""
    settings = _settings(own)
    kept = [word for word in dict.fromkeys(own) if word.partition("=")[2] == settings[word.partition("=")[0]]]
    return (*kept, *(change for change in changes if change.partition("=")[0] not in settings))


def _exceptions(grid: Grid, row: str, column: str) -> Overrides:
    return tuple(
        override
        for exception in grid.exceptions
        if row in exception.rows and column in exception.columns
        for override in exception.overrides
    )


def _seeds(value: str) -> tuple[int, ...]:
    seeds = value.split(",")
    if not all(seed.isdecimal() and int(seed) < 2**32 for seed in seeds):
        raise UserError(f"seed takes whole numbers from 0 to {2**32 - 1}, e.g. seed=0,1,2, not '{value}'")
    return tuple(sorted({int(seed) for seed in seeds}))
