"""Grids: which cells a person gets for what they type."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from sample_results import result as sample

from chtexp.config.compose import compose_run
from chtexp.config.resources import conf_dir
from chtexp.config.run import Run
from chtexp.config.typed import describe
from chtexp.cost.count import cost
from chtexp.errors import UserError
from chtexp.paper.grid import Grid, grid_names, load_grid, select
from chtexp.paper.numbers import paper_means, paper_numbers
from chtexp.paper.plan import plan_runs
from chtexp.paper.tables import finished_table
from chtexp.report import Claim
from chtexp.sparse import load_method, method_names
from chtexp.store.folder import slug

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
    names = {(slug(item.run.data.name), slug(item.run.method.name)) for item in runs}
    assert all(item.identities.could_be(item.cell, names) for item in runs)
    different = {(item.run.data.name, item.run.method.name, item.run.method.sparsity): item.run for item in runs}
    for run in different.values():
        assert cost(run).steps > 0


@pytest.mark.parametrize("name", [name for name in GRIDS if name.startswith("table")])
def test_a_papers_table_has_exactly_the_cells_that_the_paper_reports(name: str) -> None:
    cells = {(cell.row, cell.column) for cell in select(load_grid(name, [conf_dir()]), []).cells}
    reported = set(paper_numbers(name))
    assert reported <= cells
    assert cells - reported == (cells if name == "table16" else NOT_REPORTED.get(name, set()))  # which has means alone


CLAIMED = ("table1", "table2", "table3", "table7", "table10", "table11", "table13", "table14", "table16")


@pytest.mark.parametrize("name", CLAIMED)
def test_the_papers_own_numbers_agree_with_every_claim(name: str) -> None:
    reported = {place: number.mean for place, number in paper_numbers(name).items()}
    reported |= {(row, mean): value for mean, means in paper_means(name).items() for row, value in means.means.items()}
    claims = load_grid(name, [conf_dir()]).claims
    single = [one for claim in claims for one in product(claim.above, claim.below, claim.columns)]
    assert len(set(single)) == len(single) > 0
    for above, below, column in single:
        assert reported[above, column] > reported[below, column], (above, below, column)


def test_every_grid_with_claims_is_tested_for_them() -> None:
    assert {name for name in GRIDS if load_grid(name, [conf_dir()]).claims} == set(CLAIMED)


def test_the_papers_means_are_those_that_grids_ask_for() -> None:
    for name in GRIDS:
        means = load_grid(name, [conf_dir()]).means
        assert {key: set(mean.rows) for key, mean in means.items()} == {
            key: set(mean.means) for key, mean in paper_means(name).items()
        }


def finish(run: Run, value: float, **changed: object) -> Path:
    """The folder of `run`, as if it had ended with `value`."""
    made = {
        "metric": "accuracy",
        "data": run.data.name,
        "method": run.method.name,
        "budget": run.budget.name,
        **changed,
    }
    made["higher_is_better"] = made["metric"] != "perplexity"
    run.folder.path.mkdir(parents=True)
    (run.folder.path / "result.json").write_text(json.dumps(sample(run.seed, value, run.science, **made)))
    return run.folder.path


def marks_of(name: str, overrides: list[str], value: float = 30.0) -> tuple[str, ...]:
    """How a table marks the one run that these overrides choose and that is done."""
    (item,) = plan_runs(name, overrides, None)
    finish(item.run, value)
    (row,) = finished_table(name, overrides, None).rows
    assert row.mean == value
    assert row.verdict == ("not comparable" if row.marks else row.verdict)
    return row.marks


@pytest.mark.parametrize(
    ("name", "overrides", "changed"),
    [
        ("table7", ["row=SET", "column=mnist", "seed=0"], []),
        ("table7", ["row=SET", "column=mnist", "seed=0", "hardware.threads=1"], []),
        ("table7", ["row=SET", "column=mnist", "seed=0", "method.zeta=0.2"], ["method.zeta"]),
        ("table7", ["row=SET", "column=mnist", "seed=0", "hardware=gpu_bf16"], ["precision"]),  # by another key than it says
        # the grid's own smaller network at that budget
        ("table2", ["row=SET", "column=multi30k_90", "seed=0", "budget=cpu", "budget.fraction=1"],
         ["model.decoder_layers", "model.encoder_layers", "model.feed_forward", "model.heads and 1 more"]),
        ("table3", ["row=SET", "column=llama_60m_90"], []),
        ("table3", ["row=SET", "column=llama_60m_90", "hardware.precision=bf16"], ["precision"]),
    ],
    ids=str,
)  # fmt: skip
def test_runs_of_other_settings_than_the_papers_are_marked(
    name: str, overrides: list[str], changed: list[str], tmp_path: Path
) -> None:
    found = marks_of(name, [*overrides, f"paths.runs={tmp_path}"])
    assert found == ((f"changed runs ({', '.join(changed)})",) if changed else ())


def test_a_copied_seed_folder_counts_for_nothing(tmp_path: Path) -> None:
    asked = ["row=SET", "column=mnist", "seed=0", f"paths.runs={tmp_path}"]
    (item,) = plan_runs("table7", asked, None)
    folder = finish(item.run, 97.0)
    copy = folder.with_name("seed-0.bak")
    copy.mkdir()
    (copy / "result.json").write_text((folder / "result.json").read_text().replace("97.0", "99.99"))
    (row,) = finished_table("table7", asked, None).rows
    assert row.values == (97.0,)


def test_an_added_row_may_not_take_the_name_of_another() -> None:
    grid = load_grid("table12", [conf_dir()])
    row = next(row for rows in grid.groups.values() for row in rows)
    with pytest.raises(UserError, match=rf"\+method={row} would be a second row '{row}'; copy method/{row}.yaml"):
        select(grid, [f"+method={row}"])


def test_table_3_trains_the_topologies_that_tables_8_and_9_found_best() -> None:
    cells = {(cell.row, cell.column): cell.overrides for cell in select(load_grid("table3", [conf_dir()]), []).cells}
    paper = paper_numbers("table3")
    for name, size in (("table8", "llama_60m"), ("table9", "llama_130m")):
        for (row, column), number in paper_numbers(name).items():
            method, degree, r = row.split("_")
            chosen = cells[method, f"{size}_{column.removeprefix('sparsity_')}"]
            if {f"method.topology.degree={degree}", f"method.topology.r={r}"} <= set(chosen):
                assert number.mean == paper[method, f"{size}_{column.removeprefix('sparsity_')}"].mean


def test_claims_and_means_follow_the_cells_that_are_chosen(tmp_path: Path) -> None:
    runs = f"paths.runs={tmp_path}"
    (found,) = finished_table("table1", ["method=chts_n,rigl", runs], None).claims
    assert (found.claim, found.said) == (Claim("CHTs", "RigL", "cifar10"), "open: no results")
    assert (found.paper_above, found.paper_below) == (69.97, 63.9)
    table16 = finished_table("table16", ["column=llama_20m_90,llama_35m_90", runs], None)
    assert [(mean.name, mean.columns, mean.of) for mean in table16.means] == [("sparsity_90", 0, 6)]
    assert [claim.claim.column for claim in table16.claims] == ["sparsity_90"]
    assert finished_table("table16", ["row=CHTs", runs], None).means == ()
    changed = finished_table("table16", ["task.batch=64", runs], None)
    assert {mean.paper for mean in changed.means} == {(None, None)}


def test_table_16_tells_its_mean_and_p_from_results(tmp_path: Path) -> None:
    sizes = ",".join(f"llama_{size}_90" for size in ("20m", "35m", "60m", "130m", "350m", "1b"))
    asked = [f"column={sizes}", f"paths.runs={tmp_path}"]
    for place, item in enumerate(plan_runs("table16", asked, None)):
        finish(item.run, 20.0 + place % 6 + (2.0 if item.cell.row == "CHTs" else 0.0), metric="perplexity")
    table = finished_table("table16", asked, None)
    (mean,) = table.means
    assert (mean.means, mean.columns, mean.comparison.p) == ((24.5, 22.5), 6, 2 / 64)
    assert (mean.paper, mean.paper_p, mean.marks) == ((28.47, 26.51), 0.031, ())
    assert [claim.said for claim in table.claims] == ["holds, p = 0.031 (6 paired columns)"]


SMALL_GRID = {"title": "t", "seeds": [0], "columns": {"x": [], "y": []}, "groups": {"g": {"A": [], "B": [], "C": []}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"claims": [{"above": "D", "below": "B", "columns": "x"}]}, "unknown row of a claim 'D'"),
        ({"claims": [{"above": "A", "below": ["B", "E"], "columns": "x"}]}, "unknown row of a claim 'E'"),
        ({"claims": [{"above": "A", "below": "B", "columns": "z"}]}, "unknown column of a claim 'z'"),
        ({"claims": [{"above": "A", "below": [], "columns": "x"}]}, "claims.0.below"),
        ({"means": {"m": {"rows": ["A", "D"], "columns": ["x"]}}}, "unknown row of a mean 'D'"),
        ({"means": {"m": {"rows": ["A", "B"], "columns": ["z"]}}}, "unknown column of a mean 'z'"),
        ({"means": {"x": {"rows": ["A", "B"], "columns": ["y"]}}}, "'x' is both a column and a mean"),
        (
            {
                "means": {"m": {"rows": ["A", "B"], "columns": "x"}},
                "claims": [{"above": "A", "below": "C", "columns": "m"}],
            },
            "unknown row of a claim about a mean 'C'",
        ),
    ],
)
def test_claims_and_means_of_what_there_is_not_are_refused(change: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        describe(Grid, SMALL_GRID | change)


def test_one_name_of_a_claim_needs_no_brackets() -> None:
    grid = describe(Grid, SMALL_GRID | {"claims": [{"above": "A", "below": ["B", "C"], "columns": "x"}]})
    assert (grid.claims[0].above, grid.claims[0].below, grid.claims[0].columns) == (("A",), ("B", "C"), ("x",))


def test_an_override_of_an_axis_chooses_cells_and_others_change_them() -> None:
    grid = load_grid("table7", [conf_dir()])
    chosen = select(grid, ["data=mnist", "method=set,rigl", "budget=smoke", "seed=3,1", "task.batch_size=64"])
    assert [(cell.row, cell.column) for cell in chosen.cells] == [("RigL", "mnist"), ("SET", "mnist")]
    assert chosen.seeds == (1, 3)
    assert all({"budget=smoke", "task.batch_size=64"} <= set(cell.overrides) for cell in chosen.cells)


STAND_IN = "EMNIST47, a stand-in for EMNIST balanced"


@pytest.mark.parametrize("name", ["table7", "figure6", "figure7", "figure8"])
def test_a_stand_in_fills_the_column_of_what_it_stands_in_for_where_it_is_asked_for(name: str) -> None:
    folders = [conf_dir()]
    grid = load_grid(name, folders)
    papers, ours = (select(grid, [f"data={data}"], folders).cells for data in ("emnist", "emnist47"))
    assert [(cell.group, cell.row, cell.column) for cell in ours] == [
        (cell.group, cell.row, cell.column) for cell in papers
    ]
    for cell in ours:
        assert "data=emnist47" in cell.overrides
        assert "data=emnist" not in cell.overrides
    both = select(grid, ["data=mnist,emnist47"], folders).cells
    assert {cell.column.partition("_")[0] for cell in both} == {"mnist", "emnist"}
    assert not any("data=emnist47" in cell.overrides for cell in select(grid, [], folders).cells)


def test_a_stand_in_is_marked_and_compared_with_nothing(tmp_path: Path) -> None:
    asked = ["row=SET", f"paths.runs={tmp_path}"]
    for item in plan_runs("table7", ["data=emnist47", *asked], None):
        finish(item.run, 86.31, data_source=STAND_IN)
    (row,) = finished_table("table7", ["data=emnist47", *asked], None).rows
    assert (row.column, row.mean, row.paper, row.verdict) == ("emnist", 86.31, 86.31, "not comparable")
    assert row.marks == (f"stand-in data ({STAND_IN})",)
    assert [row.mean for row in finished_table("table7", asked, None).rows] == [None] * 3


def test_a_cell_shows_a_data_set_or_its_stand_in() -> None:
    folders = [conf_dir()]
    with pytest.raises(UserError, match="data=emnist47 stands in for data=emnist, and a cell shows one of them"):
        select(load_grid("table7", folders), ["data=emnist,emnist47"], folders)
    with pytest.raises(UserError, match="unknown data of this table 'emnist47'; choose one of: cifar10"):
        select(load_grid("table1", folders), ["data=emnist47"], folders)


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


TWO_ROWS = {"title": "t", "seeds": [0], "columns": {"c": ["data=mnist"]}, "groups": {"g": {"a": [], "b": []}}}


def test_a_grid_says_how_it_is_drawn_by_data() -> None:
    contests = {"ours": {"first": "a", "second": ["b"]}}
    grid = describe(Grid, {**TWO_ROWS, "figure": {"kind": "win_rates", "contests": contests}})
    assert grid.figure is not None
    assert grid.figure.options() == {"contests": {"ours": {"first": ("a",), "second": ("b",)}}}


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"kind": "pie"}, "figure"),
        ({"kind": "bars", "across": "x"}, "across"),  # an option of another kind
        ({"kind": "heat_map", "across": "x"}, "down is required"),
        ({"kind": "curves", "quantities": ["beauty"]}, "quantities"),
        ({"kind": "win_rates", "contests": {"alone": {"one": "a"}}}, "contests"),
        ({"kind": "win_rates", "contests": {"x": {"one": "a", "other": "z"}}}, "unknown row of a figure 'z'"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(figure: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        describe(Grid, {**TWO_ROWS, "figure": figure})


def test_the_drawings_take_what_grids_say() -> None:
    from inspect import signature

    from chtexp.report.figures import KINDS

    figures = [grid.figure for name in GRIDS if (grid := load_grid(name, [conf_dir()])).figure]
    assert {figure.kind for figure in figures} == {"bars", "curves", "heat_map", "win_rates"}
    for figure in figures:
        assert set(figure.options()) <= set(signature(KINDS[figure.kind]).parameters)
