"""Grids: which cells a person gets for what they type."""

from __future__ import annotations

from pathlib import Path

import pytest

from chtexp.compose import compose_run
from chtexp.errors import UserError
from chtexp.experiments.cost import cost
from chtexp.experiments.grid import grid_names, load_grid, select
from chtexp.planning import plan_runs
from chtexp.report import paper_numbers
from chtexp.resources import conf_dir
from chtexp.sparse import load_method, method_names

NOT_REPORTED = {"table3": {("CHT", "llama_1b_70")}}
GRIDS = grid_names([conf_dir()])


def overrides_of(name: str, row: str, column: str, *typed: str) -> tuple[str, ...]:
    cells = select(load_grid(name, [conf_dir()]), typed).cells
    return next(cell.overrides for cell in cells if (cell.row, cell.column) == (row, column))


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_of_every_grid_is_a_run_that_can_be_costed(name: str) -> None:
    runs = plan_runs(name, ["budget=cpu", "seed=0"], None)
    assert len({item.run.id for item in runs}) == len(runs)
    assert {item.run.budget.name for item in runs} == {"cpu"}
    different = {(item.run.data.name, item.run.method.name, item.run.method.sparsity): item.run for item in runs}
    for run in different.values():
        assert cost(run).steps > 0


@pytest.mark.parametrize("name", [name for name in GRIDS if name.startswith("table")])
def test_a_papers_table_has_exactly_the_cells_that_the_paper_reports(name: str) -> None:
    cells = {(cell.row, cell.column) for cell in select(load_grid(name, [conf_dir()]), []).cells}
    reported = set(paper_numbers(name))
    assert reported <= cells
    assert cells - reported == (cells if name == "table16" else NOT_REPORTED.get(name, set()))  # which has means alone


def test_an_override_of_an_axis_chooses_cells_and_others_change_them() -> None:
    grid = load_grid("table7", [conf_dir()])
    chosen = select(grid, ["data=mnist", "method=set,rigl", "budget=smoke", "seed=3,1", "task.batch_size=64"])
    assert [(cell.row, cell.column) for cell in chosen.cells] == [("RigL", "mnist"), ("SET", "mnist")]
    assert chosen.seeds == (1, 3)
    assert all({"budget=smoke", "task.batch_size=64"} <= set(cell.overrides) for cell in chosen.cells)


def test_a_cells_own_settings_win_over_what_was_typed() -> None:
    assert "method.sparsity=0" in overrides_of("table7", "FC", "mnist", "method.sparsity=0.9")
    assert "method.sparsity=0.9" not in overrides_of("table7", "FC", "mnist", "method.sparsity=0.9")
    assert "method.sparsity=0.9" in overrides_of("table7", "SET", "mnist", "method.sparsity=0.9")


def test_chts_removes_by_relative_importance_on_fashion_mnist_only() -> None:
    for row in ("CHTs_n", "CHTs_p", "CHTss_n"):
        assert compose_run(overrides_of("table7", row, "fashion_mnist")).method.removal.rule == "ri"
        assert compose_run(overrides_of("table7", row, "mnist")).method.removal.rule == "wm"


def test_a_row_of_ones_own_is_added(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text(
        "defaults:\n  - topology: brf\n  - removal: ri\n  - regrowth: random\n  - density: fixed\n  - _self_\n"
        "name: Mine\nsparsity: 0.99\nzeta: 0.2\n"
    )
    runs = plan_runs("table7", ["data=mnist", "+method=mine", "seed=0"], tmp_path)
    assert [item.run.method.name for item in runs][-1] == "Mine"
    assert runs[-1].cell.group == "added"
    assert runs[-1].run.method.zeta == 0.2
    assert len(runs) == 10


def test_no_such_value_names_those_there_are() -> None:
    with pytest.raises(
        UserError, match="unknown data of this table 'cifar10'; choose one of: emnist, fashion_mnist, mnist"
    ):
        select(load_grid("table7", [conf_dir()]), ["data=cifar10"])


@pytest.mark.parametrize("name", method_names())
def test_hydra_and_load_method_read_the_same_method(name: str) -> None:
    assert compose_run([f"method={name}"]).method == load_method(name)


def test_identity_is_the_science_alone(tmp_path: Path) -> None:
    base = compose_run(["method=chts_n"])
    same = [
        "seed=5",
        "hardware.threads=1",
        "logger=wandb",
        f"paths.runs={tmp_path}",
        "checkpoint.steps=7",
        "overwrite=true",
    ]
    assert compose_run(["method=chts_n", *same]).id == base.id
    other = [
        "data=digits",
        "model.hidden=[9]",
        "task.epochs=9",
        "method.zeta=0.2",
        "budget=cpu",
        "method.topology.rule=er",
    ]
    assert len({base.id, *(compose_run(["method=chts_n", change]).id for change in other)}) == 1 + len(other)
