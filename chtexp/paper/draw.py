"""From a figure's name and what a person typed to the figure: of a grid, or of what needs no runs at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp.config.compose import compose_run
from chtexp.config.resources import conf_folders
from chtexp.errors import UserError, unknown
from chtexp.paper.grid import grid_names, load_grid
from chtexp.paper.plan import plan_runs
from chtexp.paper.tables import finished_cells
from chtexp.report import CellResults, Table
from chtexp.report.figures import KINDS, FigureInput, TrainedRun, adjacency, checked, runtime
from chtexp.report.figures.matrices import Matrices, read_matrices
from chtexp.store import Damaged, RunFolder
from chtexp.store.files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LINK_PREDICTION = Path("results/bench/linkpred.json")


@dataclass(frozen=True)
class Wanted:
    """What a person typed to get a figure.

    Attributes:
        overrides: as for a table.
        config_dir: the person's own folder of configuration files.
        collected: files of results.
        kind: another kind of figure than the grid's own; None: the grid's own.
        accept: as of `finished_cells`.
    """

    overrides: Sequence[str] = ()
    config_dir: Path | None = None
    collected: Sequence[Path] = ()
    kind: str | None = None
    accept: Callable[[str], object] | None = None


@dataclass(frozen=True)
class Drawn:
    """A figure, and what must be said with it.

    Attributes:
        figure: the figure, to be written.
        results: how many results it shows; None for a figure that needs none.
        damaged: what could not be read.
    """

    figure: Figure
    results: int | None = field(default=None)
    damaged: tuple[str, ...] = ()


def figure_names(config_dir: Path | None = None) -> list[str]:
    """List the figures that are drawn without asking for a kind: the grids with a `figure`, and those that need no runs.

    Args:
        config_dir: the person's own folder of configuration files.

    Returns:
        The names, shorter ones first.
    """
    folders = conf_folders(config_dir)
    drawn = [name for name in grid_names(folders) if load_grid(name, folders).figure is not None]
    return sorted([*drawn, *WITHOUT_RUNS], key=lambda name: (len(name), name))


def draw_figure(name: str, wanted: Wanted) -> Drawn:
    """Draw a figure with the results that there are.

    Args:
        name: the name of the figure or table.
        wanted: what was typed.

    Returns:
        The figure.

    Raises:
        UserError: the name or the kind is unknown, a table has no kind of its own while none is asked for, or a figure that
            shows no runs was given a kind or overrides.
    """
    if wanted.kind is not None and wanted.kind not in KINDS:
        raise unknown("kind of figure", wanted.kind, KINDS)
    if name in WITHOUT_RUNS:
        if wanted.kind or wanted.overrides:
            raise UserError(f"{name} shows no runs: it takes neither --kind nor KEY=VALUE")
        return WITHOUT_RUNS[name](wanted)
    return _of_a_grid(name, wanted)


def _of_a_grid(name: str, wanted: Wanted) -> Drawn:
    _figure_of(name, wanted)  # says so at once where there is none
    table, cells = finished_cells(name, wanted.overrides, wanted.config_dir, wanted.collected, wanted.accept)
    folder = [word for word in wanted.overrides if word.startswith("paths.")]
    return draw_finished(name, table, cells, wanted, compose_run(folder, wanted.config_dir).paths.runs)


def draw_finished(name: str, table: Table, cells: Sequence[CellResults], wanted: Wanted, runs: Path) -> Drawn:
    """Draw the figure of a table that is made already, and of the results in it.

    Args:
        name: the name of the table.
        table: the table.
        cells: the results in it.
        wanted: what was typed.
        runs: the folder of run folders, for what the runs recorded.

    Returns:
        The figure.

    Raises:
        UserError: the name is unknown, or the table has no kind of its own while none is asked for.
    """
    kind, options = _figure_of(name, wanted)
    given = FigureInput(table, _runs(cells, runs), _paper_flops(name, wanted) if kind == "flops" else {})
    return Drawn(KINDS[kind](given, **options), sum(row.n for row in table.rows), tuple(table.damaged))


def _figure_of(name: str, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Find the kind of figure that is wanted of a grid, and its options."""
    folders = conf_folders(wanted.config_dir)
    if name not in (known := grid_names(folders)):
        raise unknown("figure or table", name, [*known, *WITHOUT_RUNS])
    own = load_grid(name, folders).figure
    if own is None and wanted.kind is None:
        raise UserError(
            f"'{name}' does not say how it is drawn: choose --kind {' | '.join(KINDS)}, or one of: "
            f"{', '.join(figure_names(wanted.config_dir))}"
        )
    kind = wanted.kind or (own.kind if own else "")
    return kind, own.options() if own and own.kind == kind else {}


def _runs(cells: Sequence[CellResults], runs: Path) -> tuple[TrainedRun, ...]:
    """Every result, with what its training recorded where its run folder is at hand."""
    return tuple(
        _with_records(TrainedRun(cell.row, cell.column, result.seed, result), runs)
        for cell in cells
        for result in cell.results
    )


def _with_records(run: TrainedRun, runs: Path) -> TrainedRun:
    result = run.result
    folder = RunFolder.of(runs, (result.data, result.method, result.budget), result.id, run.seed)
    if not folder.result.exists():  # of another machine's run nothing is here
        return run
    try:
        return replace(run, records=checked(folder.read_metrics()))
    except ValueError:  # damaged, or no records of a training
        return replace(run, damaged=True)


def _paper_flops(name: str, wanted: Wanted) -> dict[tuple[str, str], float]:
    """FLOPs of each cell's training at the paper's budget; a cell whose data are not prepared has none."""
    overrides = [word for word in wanted.overrides if not word.startswith(("budget", "seed="))]
    found = {}
    for item in plan_runs(name, [*overrides, "budget=paper", "seed=0"], wanted.config_dir):
        try:
            found[item.cell.row, item.cell.column] = item.cost.sparse_flops
        except UserError:  # the vocabulary of text that is not prepared here
            continue
    return found


# ---------------------------------------------------------------------- what needs no runs


def _link_prediction(wanted: Wanted) -> Drawn:
    """Draw Figure 2 from what `chtexp bench linkpred` wrote."""
    if len(wanted.collected) > 1:
        raise UserError("figure2 shows one measurement: give --results once, what 'chtexp bench linkpred' wrote")
    path = wanted.collected[0] if wanted.collected else LINK_PREDICTION
    if not path.exists():
        if wanted.collected:
            raise UserError(f"{path} is not there; chtexp bench linkpred --output {path} measures it")
        return Drawn(runtime([], [f"chtexp bench linkpred --output {path} measures it."]), 0)
    try:
        return _runtime(read_json(path))
    except (Damaged, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not what 'chtexp bench linkpred --output FILE.json' writes") from None


def _runtime(found: Any) -> Drawn:
    """Draw the figure of a measurement; anything else raises KeyError, TypeError or ValueError."""
    if found["bench"] != "linkpred":
        raise ValueError(f"a measurement of {found['bench']}")
    machine, rows = found["machine"], found["rows"]
    notes = [
        "Median and quartiles; CH2-L3n is node based, CH3-L3p path based.",
        f"Measured on {machine['cpu']}, {machine['threads']} threads, torch {machine['versions']['torch']}.",
    ]
    return Drawn(runtime(rows, notes), len(rows))


SIZE, DENSITY = 64, 0.1  # of the matrices of Figure 5 [choice]: large enough to see, small enough to count
MODELS: tuple[tuple[tuple[str, dict[str, Any]], ...], ...] = (
    tuple((f"BSW({beta:g})", {"name": "bsw", "beta": beta}) for beta in (0.0, 0.2, 0.6, 1.0)),
    *(
        tuple((f"BRF {degree}({r:g})", {"name": "brf", "degree": degree, "r": r}) for r in (0.0, 0.1, 0.3, 1.0))
        for degree in ("fixed", "uniform")
    ),
    (
        ("BSF", {"name": "bsf"}),
        ("BSF, equal inputs", {"name": "bsf", "equal_partition": True}),
        ("ER", {"name": "er"}),
    ),
)


def make_matrices() -> Matrices:
    """Make the matrices of Figure 5 with `chtexp.topology`; `scripts/update_figure5.py` keeps them.

    Returns:
        Rows of panels, each a bool array [outputs, inputs] by its name.
    """
    from chtexp.randomness import generator  # loads torch, as does the next
    from chtexp.topology import init_mask

    return [
        {
            title: init_mask(
                out_features=SIZE, in_features=SIZE, density=DENSITY, generator=generator(0, "figure5", title), **model
            ).numpy()
            for title, model in models
        }
        for models in MODELS
    ]


def _adjacency(wanted: Wanted) -> Drawn:
    """Draw Figure 5, which needs no runs."""
    if wanted.collected:
        raise UserError("figure5 takes no --results: its matrices belong to no run")
    title = (
        "Figure 5: adjacency matrices of bipartite network models: scale free, small world(beta), receptive field(r)"
    )
    note = f"{SIZE} x {SIZE} neurons at {DENSITY:.0%} density, seed 0; a black place is a link. ER: uniformly random."
    return Drawn(adjacency(title, read_matrices(), [note]))


WITHOUT_RUNS: dict[str, Callable[[Wanted], Drawn]] = {"figure2": _link_prediction, "figure5": _adjacency}
