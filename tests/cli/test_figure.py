"""chtexp figure: names, kinds, files and mistakes, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.config.resources import conf_dir
from chtexp.paper.draw import WITHOUT_RUNS, Wanted, draw_figure, figure_names
from chtexp.paper.grid import grid_names, load_grid
from chtexp.report.figures import KINDS, svg_text

BUDGET = ("budget=smoke", "seed=0", "model.hidden=[32,32]", "budget.train_limit=64")
CHEAP = (*BUDGET, "hardware.threads=1", "method=set,chts_n")
NAMES = [f"figure{number}" for number in (2, 3, 5, 6, 7, 8, 9, 10, 11, 12)]


def test_every_figure_of_the_paper_has_a_name() -> None:
    assert figure_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_without_results(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))
    grid = None if name in WITHOUT_RUNS else load_grid(name, [conf_dir()])
    column = [f"column={next(iter(grid.columns))}"] if grid else []  # one alone: each cell takes time
    svg = svg_text(draw_figure(name, Wanted(column)).figure)
    assert svg.startswith("<svg")
    assert f"Figure {name.removeprefix('figure')}:" in svg
    assert ("no results" in svg) == (name != "figure5")  # which needs none


def test_the_adjacency_matrices_have_the_links_that_their_density_asks_for() -> None:
    figure = draw_figure("figure5", Wanted()).figure
    images = {image.get_gid(): image.get_array() for axes in figure.axes for image in axes.images}
    assert {int(image.sum()) for image in images.values()} == {round(0.1 * 64 * 64)}
    assert {"BSF", "BSW(0)", "BSW(1)", "BRF fixed(0.1)", "BRF uniform(0.1)"} <= set(images)
    assert (images["BSW(0)"] == images["BRF fixed(0)"]).all()  # both: the nearest inputs


def test_a_sweep_is_drawn_in_every_kind_from_its_folders_and_from_a_collection(
    chtexp: Callable, tmp_path: Path
) -> None:
    chtexp("sweep", "quickstart", *CHEAP, "launcher=serial")
    drawn = {
        kind: svg_text(draw_figure("quickstart", Wanted([*CHEAP, f"paths.runs={tmp_path}/runs"], kind=kind)).figure)
        for kind in KINDS
    }
    result = json.loads(next(tmp_path.glob("runs/digits-set-*/seed-0/result.json")).read_text())
    assert f"{result['reported']:.2f}†" in drawn["bars"]
    assert f"{result['reported']:.2f}†" in drawn["heat_map"]
    assert all(">layers.0</text>" in drawn[kind] for kind in ("neurons", "degrees"))  # runs record their neurons
    assert not any("no results" in svg for svg in drawn.values())
    recorded = next(tmp_path.glob("runs/digits-set-*/seed-0/metrics.jsonl"))
    whole = recorded.read_bytes()
    for damage in (b"{broken\n", b"\xff\n", b'{"step": "x"}\n', b"3\n"):
        recorded.write_bytes(damage)
        curves = draw_figure("quickstart", Wanted([*CHEAP, f"paths.runs={tmp_path}/runs"], kind="curves")).figure
        assert "Not shown: SET on digits (seed 0)" in svg_text(curves)
        assert any(drawn.get_gid() == "CHTs_n digits accuracy (%)" for drawn in curves.axes[0].lines)
    recorded.write_bytes(whole)
    chtexp("collect", "--output", "all.jsonl")
    done = chtexp(
        "figure", "quickstart", *CHEAP, "paths.runs=elsewhere", "--results", "all.jsonl", "--kind", "curves",
        "--output", "a.svg", "--output", "a.png",
    )  # fmt: skip
    assert done.stdout.split() == ["written:", "a.svg", "written:", "a.png"]
    assert "No curves of: CHTs_n on digits, SET on digits" in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_of_ones_own_beside_chosen_ones_leaves_gaps(tmp_path: Path) -> None:
    chosen = ["method=transformer/chts", "+method=set", f"paths.runs={tmp_path}"]
    drawn = draw_figure("figure9", Wanted(chosen)).figure
    assert ">set</text>" in svg_text(drawn)
    assert [axes.get_title(loc="left") for axes in drawn.axes][:2] == ["CHTs_95", "CHTs_90"]


def test_figure2_is_drawn_from_what_the_benchmark_wrote(chtexp: Callable, tmp_path: Path) -> None:
    chtexp(
        "bench", "linkpred", "density=0.05,0.2", "fixed_size=32", "size=16,32", "rounds=3", "seconds=0.01", "threads=1",
        "figure=bench.svg", "--output", "results/bench/linkpred.json",
    )  # fmt: skip
    done = chtexp("figure", "figure2", "--output", "own.svg")
    assert done.stderr == ""
    drawn, own = ((tmp_path / name).read_text() for name in ("bench.svg", "own.svg"))
    for words in ("(a) 32 x 32", "(b) 5% density", "node based", "path based"):
        assert words in drawn
        assert words in own
    assert "Measured on" in own


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["figure99"], "unknown figure or table 'figure99'"),
        (["table7"], "'table7' does not say how it is drawn: choose --kind bars | curves"),
        (["table7", "--kind", "bar"], "unknown kind of figure 'bar' (did you mean 'bars'?)"),
        (["figure9", "--output", "a.jpg"], "unknown suffix of a.jpg '.jpg'"),
        (["figure5", "budget=cpu"], "figure5 shows no runs: it takes neither --kind nor KEY=VALUE"),
        (["figure2", "--kind", "bars"], "figure2 shows no runs"),
        (["figure2", "--results", "nothing.json"], "nothing.json is not there"),
        (["figure5", "--results", "nothing.json"], "figure5 takes no --results"),
        (["figure9", "row=BSW_7"], "unknown row of this table 'BSW_7'"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    typed: list[str], said: str, chtexp: Callable, tmp_path: Path
) -> None:
    done = chtexp("figure", *typed, check=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.*"))


def test_another_benchmarks_file_is_refused(chtexp: Callable, tmp_path: Path) -> None:
    (tmp_path / "step.json").write_text('{"bench": "step", "rows": []}')
    done = chtexp("figure", "figure2", "--results", "step.json", check=2)
    assert "step.json is not what 'chtexp bench linkpred --output FILE.json' writes" in done.stderr


def test_what_needs_no_runs_is_no_grid() -> None:
    assert not set(WITHOUT_RUNS) & set(grid_names([conf_dir()]))
