"""Made-up results for figures, and what was drawn of them."""

from __future__ import annotations

from sample_results import found as sample
from sample_results import science

from chtexp.report import CellResults, Layout, build_table
from chtexp.report.expected import PaperNumber
from chtexp.report.figures import FigureInput, TrainedRun, svg_text
from chtexp.store import Result, run_id

LAYOUT = Layout(
    name="table7",
    title="Accuracy of three methods",
    columns=("mnist", "emnist"),
    groups={"dense": ("FC",), "fixed sparsity": ("CHTs_n", "SET")},
    reference="FC",
    seeds=2,
)
PAPER = {("FC", "mnist"): PaperNumber(98.78, 0.02), ("SET", "mnist"): PaperNumber(98.14, 0.02, 100)}
VALUES = {("FC", "mnist"): [98.0, 98.2], ("CHTs_n", "mnist"): [98.5, 98.7], ("SET", "mnist"): [97.0]}


def result(row: str, column: str, seed: int, best: float, fraction: float) -> Result:
    flops = {"dense": 4e12, "sparse": 4e12 if row == "FC" else 4e10}
    of = science(row, column, fraction, "paper" if fraction == 1 else "cpu")
    return sample(seed, best, of, last=best - 1, seconds=2.0 + seed, flops=flops)


def records(best: float) -> list[dict]:
    """Two evaluations and one update between them."""
    layers = {
        "first": {
            "active_inputs": 0.5,
            "active_outputs": 0.9,
            "input_degrees": [0, 1, 2, 5, 9],
            "output_degrees": [0, 1, 1, 2, 3],
        },
        "second": {
            "active_inputs": 0.75,
            "active_outputs": 1,
            "input_degrees": [0] * 5,
            "output_degrees": [1, 2, 3, 4, 5],
        },
    }
    return [
        {"kind": "evaluation", "step": 10, "accuracy": best - 10, "density": 0.01, "anp": 0.5, "seconds": 1.0, "train_loss": 2.0},
        {"kind": "update", "step": 15, "density": 0.01, "anp": 0.4, "overlap": 0.9, "itop": 0.02, "layers": layers},
        {"kind": "evaluation", "step": 20, "accuracy": best, "density": 0.01, "anp": 0.3, "seconds": 2.0, "train_loss": 1.0},
    ]  # fmt: skip


def evidence(
    values: dict = VALUES, *, fraction: float = 1.0, with_records: bool = True, paper: dict = PAPER
) -> FigureInput:
    made = {
        (row, column): tuple(result(row, column, seed, best, fraction) for seed, best in enumerate(values.get((row, column), [])))
        for rows in LAYOUT.groups.values() for row in rows for column in LAYOUT.columns
    }  # fmt: skip
    cells = [
        CellResults(group, row, column, run_id(result(row, column, 0, 0.0, fraction).described), made[row, column])
        for group, rows in LAYOUT.groups.items()
        for row in rows
        for column in LAYOUT.columns
    ]
    runs = tuple(
        TrainedRun(row, column, one.seed, one, records(one.reported) if with_records else ())
        for (row, column), results in made.items()
        for one in results
    )
    return FigureInput(build_table(LAYOUT, cells, paper, budget="paper" if fraction == 1 else "cpu"), runs)


def texts(figure) -> str:
    return svg_text(figure)


def lines_by_name(figure) -> dict:
    return {drawn.get_gid(): drawn for axes in figure.axes for drawn in axes.lines if drawn.get_gid()}
