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
    """Overrides of certain cells alone, where a method differs on a data set.

    Attributes:
        rows: the rows of these cells.
        columns: the columns of these cells.
        overrides: what they are changed by.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    overrides: Overrides


class GridMean(Description):
    """Two rows compared over several columns: their means, and a Wilcoxon signed-rank test.

    Attributes:
        rows: the two rows.
        columns: the columns.
    """

    rows: tuple[str, str]
    columns: Names


class GridClaim(Description):
    """A claim that some rows have higher numbers than others, whichever is better.

    In each of `columns`, each row of `above` has a higher number than each row of `below`.

    Attributes:
        above: the rows with the higher numbers.
        below: the rows with the lower numbers.
        columns: columns, or means.
        exact: whether it is tested by the exact permutation of signs instead of the paired t-test.
    """

    above: Names
    below: Names
    columns: Names
    exact: bool = False


class GridReading(Description):
    """A rule by which cells are read off an evaluation of their runs, instead of what the runs report.

    Attributes:
        evaluation: `zeroshot`, as made by `chtexp zeroshot`.
        tasks: the tasks of each column; a cell is the mean over its tasks.
        score: of all rows, or by row: `accuracy`, `matthews` or `shares.LABEL`, a label by its number or its name.
    """

    evaluation: Literal["zeroshot"]
    tasks: dict[str, Names]
    score: ScoreName | dict[str, ScoreName]

    def of(self, row: str, column: str) -> tuple[Names, str]:
        """Look up the tasks and the score of a cell.

        Args:
            row: the row of the cell.
            column: the column of the cell.

        Returns:
            The tasks, and the name of the score.

        Raises:
            UserError: the row has no score, because a person added it.
        """
        if isinstance(self.score, str):
            return self.tasks[column], self.score
        if row not in self.score:
            raise UserError(f"row '{row}' cannot be added: the rows of this table are scores of one run, not runs")
        return self.tasks[column], self.score[row]


class Grid(Description):
    """A table of the paper as rows, columns, and the overrides of each.

    Attributes:
        title: the title of the table.
        metric: what its runs report.
        digits: of the metric, after the decimal point.
        seeds: the seeds of every cell.
        columns: the overrides of each column.
        groups: the rows of each group, with the overrides of each row; rows compete within their group.
        reference: the row that a star is measured against, if any.
        exceptions: overrides of certain cells alone.
        settings: overrides of all cells that do not set these keys themselves, e.g. the paper's precision. Whoever overrides one
            asks for other runs than the paper's.
        budgets: what all cells are changed by at a budget, e.g. a smaller model at `cpu`.
        means: rows that are compared over several columns, by a name of their own.
        claims: orders that the paper reports, to be checked one by one.
        figure: how the grid is drawn; None: only by a kind that is asked for.
        notes: sentences for the caption.
        reads: where the numbers come from, if not from what the runs report.
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
        """Turn the results of a cell's runs into those that the cell shows.

        Args:
            row: the row of the cell.
            column: the column of the cell.
            results: the results of its runs.

        Returns:
            The results as they are, or read off the evaluation that the grid reads; results without this evaluation are left out.

        Raises:
            UserError: the row has no score, or a task has no label of the score's name.
        """
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
    """One place in a table.

    Attributes:
        group: the group of the row.
        row: the row of the cell.
        column: the column of the cell.
        overrides: those that describe its run but for the seed.
        own: those that the grid itself has for it, at the paper's budget; none of a row that was added.
    """

    group: str
    row: str
    column: str
    overrides: Overrides
    own: Overrides = ()


def fullest_first(budgets: Iterable[str]) -> list[str]:
    """Sort names of budgets: a person's own budgets, then the others, those of most training first."""
    return sorted(budgets, key=lambda budget: (BUDGETS.index(budget) if budget in BUDGETS else -1, budget))


def grid_names(folders: Sequence[Path]) -> list[str]:
    """List every grid in `<folder>/paper/`."""
    return sorted({path.stem for folder in folders for path in (folder / "paper").glob("*.yaml")})


def load_grid(name: str, folders: Sequence[Path]) -> Grid:
    """Read the grid `<folder>/paper/<name>.yaml` of the first folder that has it.

    Args:
        name: the name of the grid.
        folders: where it is looked for, in this order.

    Raises:
        UserError: no folder has the grid, or its file is wrong.
    """
    for folder in folders:
        path = folder / "paper" / f"{name}.yaml"
        if path.exists():
            return describe(Grid, read_yaml(path), f"paper/{name}.yaml")
    raise unknown("table", name, grid_names(folders))


@dataclass(frozen=True)
class Selection:
    """The cells and seeds of a grid that a person asked for, and what they changed in all of them.

    Attributes:
        grid: the grid.
        cells: the cells.
        seeds: the seeds of every cell.
        seeds_asked: whether the seeds are the person's own and not the grid's.
        changes: overrides that apply to all cells.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    seeds_asked: bool
    changes: tuple[str, ...]


def select(grid: Grid, overrides: Sequence[str], folders: Sequence[Path] = ()) -> Selection:
    """Choose the part of a grid that overrides ask for.

    An override of a key that every cell sets (`data=mnist`, `method=set,rigl`) chooses the cells with that value, and
    `row=CHTs,SET column=mnist` those of these names. `+method=mine` adds a row. `seed=0,1` sets the seeds. Any other override
    applies to every cell that does not itself set that key, and takes precedence over what the grid says of the budget.

    A value whose file in `folders` says `stands_in_for: emnist` chooses the cells of emnist, and takes its place there.

    Args:
        grid: the grid.
        overrides: what was typed.
        folders: where configuration files are looked for.

    Returns:
        The chosen cells and seeds.

    Raises:
        UserError: no cell has the value, or an override cannot be read.
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
    """Put each value of `wanted` that no cell has in the place of the value that it stands in for."""
    for value in wanted:
        values = {_settings(cell.overrides)[key] for cell in cells}
        original = None if value in values else _stands_in_for(key, value, folders)
        if original in wanted:
            raise UserError(f"{key}={value} stands in for {key}={original}, and a cell shows one of them: ask for one")
        if original in values:
            cells = tuple(_replaced(cell, f"{key}={original}", f"{key}={value}") for cell in cells)
    return cells


def _stands_in_for(axis: str, choice: str, folders: Sequence[Path]) -> str | None:
    """Read from the file of a choice what it stands in for, if anything."""
    paths = (folder / axis / f"{choice}.yaml" for folder in folders)
    path = next((path for path in paths if path.is_file()), None)
    said = read_yaml(path).get("stands_in_for") if path else None
    return None if said is None else str(said)


def _replaced(cell: Cell, old: str, new: str) -> Cell:
    """Replace one override of a cell by another; a table need not name this as a change of the run."""
    swap = {old: new}
    overrides, own = (tuple(swap.get(word, word) for word in words) for words in (cell.overrides, cell.own))
    return replace(cell, overrides=overrides, own=own)


def _added(methods: Sequence[str], grid: Grid) -> dict[str, Overrides]:
    """Make a row for each method; one whose name is that of a row of the grid raises UserError."""
    known = [row for members in grid.groups.values() for row in members]
    for name in methods:
        if name in known:
            raise UserError(
                f"+method={name} would be a second row '{name}'; copy method/{name}.yaml under another name"
            )
    return {name: (f"method={name}",) for name in methods}


def _axes(grid: Grid) -> set[str]:
    """Find the configuration groups (`data`, `method`; not values like `method.sparsity`) that every cell sets."""
    rows = [_settings(overrides).keys() for members in grid.groups.values() for overrides in members.values()]
    columns = [_settings(overrides).keys() for overrides in grid.columns.values()]
    return {key for key in set.intersection(*map(set, rows)) | set.intersection(*map(set, columns)) if "." not in key}


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    return {key: value for key, _, value in (override.partition("=") for override in overrides)}


def _merged(changes: Sequence[str], own: Sequence[str]) -> Overrides:
    """Join `own` settings, of which later ones win, and those of `changes` that they leave open."""
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
