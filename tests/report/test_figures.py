"""Figures from made-up results: what is drawn is what the results say, gaps are gaps, the same input gives the same bytes."""

from __future__ import annotations

import html
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from sample_results import result as sample
from sample_results import science

from chtexp.errors import UserError
from chtexp.report import CellResults, Layout, build_table
from chtexp.report.figures import KINDS, Evidence, TrainedRun, adjacency, runtime, svg_text, write
from chtexp.report.figures.contests import rates
from chtexp.report.figures.recorded import checked, updates
from chtexp.report.figures.series import METRIC, QUANTITIES, over_seeds, quantity, series
from chtexp.report.figures.style import COLOURS, line, logarithmic
from chtexp.report.paper_numbers import PaperNumber
from chtexp.store import run_id

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


def result(row: str, column: str, seed: int, best: float, fraction: float) -> dict:
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
) -> Evidence:
    made = {
        (row, column): tuple(result(row, column, seed, best, fraction) for seed, best in enumerate(values.get((row, column), [])))
        for rows in LAYOUT.groups.values() for row in rows for column in LAYOUT.columns
    }  # fmt: skip
    cells = [
        CellResults(group, row, column, run_id(result(row, column, 0, 0.0, fraction)["science"]), made[row, column])
        for group, rows in LAYOUT.groups.items()
        for row in rows
        for column in LAYOUT.columns
    ]
    runs = tuple(
        TrainedRun(row, column, one["seed"], one, records(one["reported"]) if with_records else ())
        for (row, column), results in made.items()
        for one in results
    )
    return Evidence(build_table(LAYOUT, cells, paper, budget="paper" if fraction == 1 else "cpu"), runs)


def texts(figure) -> str:
    return svg_text(figure)


def lines_by_name(figure) -> dict:
    return {drawn.get_gid(): drawn for axes in figure.axes for drawn in axes.lines if drawn.get_gid()}


def test_bars_have_the_means_and_errors_of_the_table_and_the_papers_diamonds() -> None:
    figure = KINDS["bars"](evidence())
    mnist, emnist = figure.axes
    bars = {bar.get_gid(): bar.get_width() for c in mnist.containers if isinstance(c, BarContainer) for bar in c}
    assert bars == pytest.approx({"FC mnist": 98.1, "CHTs_n mnist": 98.6, "SET mnist": 97.0})
    errors = [c for c in mnist.containers if isinstance(c, ErrorbarContainer)]
    diamonds = {float(c.lines[0].get_xdata()[0]) for c in errors if c.lines[0].get_gid() == "paper"}
    assert diamonds == {98.78, 98.14}
    reach = [c.lines[2][0].get_segments()[0][:, 0].tolist() for c in errors if c.lines[0].get_gid() != "paper"]
    assert reach == [pytest.approx([98.0, 98.2]), pytest.approx([98.5, 98.7])]  # SET has one seed and no error
    assert "98.10 ± 0.10" in texts(figure)
    assert not emnist.patches
    assert "no results" in texts(figure)
    assert "their axes do not start at 0" in texts(figure)


def test_bars_of_numbers_that_differ_much_start_at_0() -> None:
    figure = KINDS["bars"](evidence({("FC", "mnist"): [80.0], ("SET", "mnist"): [10.0]}, paper={}))
    assert figure.axes[0].get_xlim()[0] == 0
    assert "do not start at 0" not in texts(figure)


def test_curves_are_means_over_seeds_with_the_error_as_a_band() -> None:
    figure = KINDS["curves"](evidence(), quantities=("metric", "overlap"))
    drawn = lines_by_name(figure)
    accuracy = drawn["CHTs_n mnist accuracy (%)"]
    assert accuracy.get_xdata().tolist() == [10, 20]
    assert accuracy.get_ydata().tolist() == pytest.approx([88.6, 98.6])
    assert drawn["SET mnist overlap (%)"].get_ydata().tolist() == [90.0]
    band = figure.axes[0].collections[1].get_paths()[0].vertices[:, 1]  # of CHTs_n: 98.5 and 98.7
    assert (band.min(), band.max()) == pytest.approx((88.5, 98.7))
    papers = [axes_line for axes_line in figure.axes[0].lines if axes_line.get_gid() == "paper"]
    assert sorted(float(point.get_ydata()[0]) for point in papers) == [98.14, 98.78]


CLOSE = {**PAPER, ("CHTs_n", "mnist"): PaperNumber(98.76, 0.05)}


@pytest.mark.parametrize(
    "values", [{}, VALUES, {("FC", "mnist"): [30.0, 31.0], ("SET", "mnist"): [25.0]}], ids=["none", "near", "far"]
)
def test_the_papers_values_stand_beside_curves_within_the_panels_height(values: dict) -> None:
    figure = KINDS["curves"](evidence(values, paper=CLOSE))
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    points = {drawn.get_marker(): drawn for drawn in axes.lines if drawn.get_gid() == "paper"}
    assert {marker: float(point.get_ydata()[0]) for marker, point in points.items()} == {
        "o": 98.78,
        "s": 98.76,
        "^": 98.14,
    }
    assert all(low < point.get_ydata()[0] < high for point in points.values())
    places = [point.get_transform().transform(point.get_xydata()[0]) for point in points.values()]
    assert all(axes.bbox.x1 < x for x, _ in places)
    apart = [abs(one - other) for at, one in enumerate(places) for other in places[:at]]
    assert all(distance.max() > 8 for distance in apart)  # in points: the size of a mark
    assert len(axes.get_yticks()) > 1
    assert bool(len(axes.get_xticks())) == bool(values)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"FC", "CHTs_n", "SET", "the paper, at right"} <= set(legend)
    assert "At the right of a panel: the paper’s values" in texts(figure)


def test_curves_say_which_results_have_none() -> None:
    figure = KINDS["curves"](evidence(with_records=False))
    assert "No curves of: FC on mnist, CHTs_n on mnist, SET on mnist" in texts(figure)
    assert not [name for name in lines_by_name(figure) if name != "paper"]


def test_a_later_record_of_a_step_counts_and_seeds_are_averaged_where_all_have_a_value() -> None:
    density = QUANTITIES["density"].of
    one = series([{"step": 1, "density": 0.5}, {"step": 2, "density": 0.4}, {"step": 2, "density": 0.3}], density)
    assert one == ((1.0, 50.0), (2.0, 30.0))
    assert series([{"step": 1, "density": float("nan")}, {"step": 2, "density": 0.3}, {"step": None}], density) == (
        (2, 30),
    )
    band = over_seeds([one, ((2.0, 50.0),), ()])
    assert band == ((2.0,), (40.0,), (pytest.approx(10.0),))


def test_a_heat_map_writes_every_number_and_the_papers_in_brackets() -> None:
    figure = KINDS["heat_map"](evidence(), across="data", down="method")
    shown = {text.get_gid(): text.get_text() for text in figure.axes[0].texts if text.get_gid()}
    assert shown["FC mnist"] == "98.10\n(98.78)"
    assert shown["CHTs_n mnist"] == "98.60"
    assert shown["SET emnist"] == "–"
    image = figure.axes[0].images[0].get_array()
    assert image[0, 0] == pytest.approx(98.1)
    assert image.mask[:, 1].all()
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("data", "method")


@pytest.mark.parametrize("kind", ["bars", "heat_map"])
def test_numbers_have_the_digits_of_their_table(kind: str) -> None:
    known = evidence(
        {("FC", "mnist"): [0.0314, 0.0318], ("SET", "mnist"): [-0.0003]}, paper={("FC", "mnist"): PaperNumber(0.0284)}
    )
    known = replace(known, table=replace(known.table, layout=replace(LAYOUT, digits=3)))
    drawn = texts(KINDS[kind](known))
    assert ">0.032" in drawn
    assert "-0.000" not in drawn
    if kind == "heat_map":
        assert "(0.028)" in drawn


def test_win_rates_compare_the_means_of_contestants_once_a_column_and_seed() -> None:
    values = {"a": {1: 3.0, 2: 3.0, 3: 1.0}, "b": {1: 2.0, 2: 3.0, 3: 9.0}, "c": {1: 1.0, 2: 3.0}}
    contestants = {"one": ["a"], "two": ["b", "c"]}
    found = rates(values, contestants, higher_is_better=True)
    assert (found["one"].rate, found["two"].rate) == (
        0.75,
        0.25,
    )  # wins in 1, ties in 2; in 3 a row of the other is missing
    assert found["one"].places == found["two"].places == 2
    assert rates(values, contestants, higher_is_better=False)["one"].rate == 0.25


def test_win_rates_are_drawn_with_wilsons_interval() -> None:
    contests = {"one": {"sparse": ["CHTs_n"], "dense": ["FC"]}, "two": {"sparse": ["CHTs_n", "SET"], "dense": ["FC"]}}
    figure = KINDS["win_rates"](evidence(), contests=contests)
    one, two = (
        {c.lines[0].get_gid(): c for c in axes.containers if isinstance(c, ErrorbarContainer)} for axes in figure.axes
    )
    assert float(one["one sparse"].lines[0].get_xdata()[0]) == 100
    low, high = one["one sparse"].lines[2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((34.24, 100), abs=0.01)  # Wilson's of 2 in 2
    (lost,) = two["two sparse"].lines[0].get_xdata()  # 97.75 is below 98 at the one seed that both rows have
    assert float(lost) == 0
    shown = texts(figure)
    assert "100% of 2" in shown
    assert "0% of 1" in shown
    (notes,) = (text.get_text() for text in figure.texts if text.get_gid() == "notes")
    assert "takes columns and seeds for independent" in " ".join(notes.split())


def test_the_metric_stands_at_the_flops_and_seconds_of_its_runs() -> None:
    for kind, place in (("flops", 4e10), ("seconds", 2.5)):
        figure = KINDS[kind](evidence())
        (point,) = [c.lines[0] for c in figure.axes[0].containers if c.lines[0].get_gid() == "CHTs_n mnist"] or [
            drawn for drawn in figure.axes[0].lines if drawn.get_gid() == "CHTs_n mnist"
        ]
        assert (float(point.get_xdata()[0]), float(point.get_ydata()[0])) == pytest.approx((place, 98.6))


def test_the_papers_value_stands_at_the_flops_of_its_own_training() -> None:
    known = evidence()
    figure = KINDS["flops"](Evidence(known.table, known.runs, {("SET", "mnist"): 7e13, ("CHTs_n", "mnist"): 7e13}))
    (point,) = [drawn for drawn in figure.axes[0].lines if drawn.get_gid() == "paper"]  # of CHTs_n it has no value here
    assert (float(point.get_xdata()[0]), float(point.get_ydata()[0])) == (7e13, 98.14)


def test_neurons_show_the_inputs_of_every_layer_and_the_outputs_of_the_last() -> None:
    figure = KINDS["neurons"](evidence())
    (mesh,) = figure.axes[0].collections
    assert mesh.get_array().ravel().tolist() == [50.0, 75.0, 100.0]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["first", "second", "outputs"]


@pytest.mark.parametrize("highest", [1.4, 2.5, 5.0, 60.0])
def test_numbers_at_a_logarithmic_axis_differ(highest: float) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.plot([2e13, highest * 2e13], [0, 1])
    logarithmic(axes, "x")
    low, high = axes.get_xlim()
    labels = [
        text.get_text() for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high and text.get_text()
    ]
    assert 2 <= len(labels) == len(set(labels)) <= 6


def test_degrees_show_medians_quartiles_and_extremes_of_both_sides_at_both_moments() -> None:
    (seed,) = (run for run in evidence().runs_of("SET", "mnist") if run.seed == 0)
    later = {
        "kind": "update",
        "step": 18,
        "layers": {"first": {"input_degrees": [1, 2, 3, 4, 7], "output_degrees": [2] * 5}},
    }
    early = {**later, "step": 15, "layers": {"first": {"input_degrees": [0, 1, 2, 5, 9], "output_degrees": [3] * 5}}}
    figure = KINDS["degrees"](Evidence(evidence().table, (replace(seed, records=[early, later]),)))
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "SET on mnist")
    medians = {line.get_gid(): line.get_ydata().tolist() for line in axes.lines}
    assert medians == {"input first": [2], "input last": [3], "output first": [3], "output last": [2]}
    spans = [[tuple(end[1] for end in span) for span in drawn.get_segments()] for drawn in axes.collections]
    assert spans[:4] == [[(0, 9)], [(1, 5)], [(1, 7)], [(2, 4)]]


@pytest.mark.parametrize(
    "record",
    [
        None, [], {}, {"step": "x"}, {"step": 1, "accuracy": []}, {"step": 1, "layers": 3}, {"step": 1, "layers": {"a": None}},
        {"step": 1, "layers": {"a": {"active_inputs": "x"}}}, {"step": 1, "layers": {"a": {"input_degrees": [1, 2]}}},
    ],
)  # fmt: skip
def test_what_no_run_records_is_refused(record: object) -> None:
    sound = records(90.0)
    assert checked(sound) is sound
    with pytest.raises(ValueError, match=r"no .*"):
        checked([*sound, record])


def test_updates_that_know_less_than_the_last_are_left_out() -> None:
    one, both = {"x": 1}, {"x": 1, "y": 2}
    recorded = [
        {"kind": "update", "step": 1}, {"kind": "update", "step": 2, "layers": {"a": one, "b": one}},
        {"kind": "update", "step": 3, "layers": {"a": both}}, {"kind": "update", "step": 5, "layers": {"a": both, "b": both}},
        {"kind": "update", "step": 4, "layers": {"a": both, "b": both}}, {"kind": "evaluation", "step": 6},
    ]  # fmt: skip
    assert [(at.step, list(at.layers)) for at in updates(recorded, "x", "y")] == [(4, ["a", "b"]), (5, ["a", "b"])]
    assert updates(recorded, "z") == []


@pytest.mark.parametrize("kind", ["curves", "neurons", "degrees"])
def test_a_run_whose_records_cannot_be_read_is_named_and_the_others_are_drawn(kind: str) -> None:
    known = evidence()
    runs = (replace(run, records=(), damaged=True) if run.row == "SET" else run for run in known.runs)
    drawn = KINDS[kind](Evidence(known.table, tuple(runs)))
    assert "Not shown: SET on mnist (seed 0); what was recorded (metrics.jsonl) cannot be read." in texts(drawn)
    assert "No curves of" not in texts(drawn)
    assert any(axes.lines or axes.collections for axes in drawn.axes)


@pytest.mark.parametrize("kind", KINDS)
def test_other_budgets_are_marked_at_the_numbers_and_explained_below(kind: str) -> None:
    assert "†" not in texts(KINDS[kind](evidence()))
    marked = texts(KINDS[kind](evidence(fraction=0.1)))
    assert marked.count("†") > 1
    assert "†: not the paper’s runs: budget cpu." in marked
    assert "Without results: FC on emnist, CHTs_n on emnist, SET on emnist." in marked


@pytest.mark.parametrize("kind", KINDS)
def test_cells_that_make_no_rectangle_leave_gaps(kind: str) -> None:
    known = evidence()
    chosen = tuple(cell for cell in known.table.rows if (cell.row, cell.column) != ("SET", "mnist"))
    drawn = texts(KINDS[kind](Evidence(replace(known.table, rows=chosen), known.runs_of("FC", "mnist"))))
    assert LAYOUT.title in drawn
    assert "97.00" not in drawn


@pytest.mark.parametrize("kind", KINDS)
def test_without_results_a_figure_has_a_frame_and_says_so(kind: str) -> None:
    with_paper = texts(KINDS[kind](evidence({})))
    assert "no results" in with_paper
    assert LAYOUT.title in with_paper
    shows_paper = kind in ("bars", "heat_map", "win_rates", "curves")
    assert ("the paper’s values alone" in with_paper) == shows_paper
    assert "nothing to draw yet" in texts(KINDS[kind](evidence({}, paper={})))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_input_gives_the_same_bytes_without_a_date(kind: str, tmp_path: Path) -> None:
    for suffix in (".svg", ".pdf", ".png"):
        write(KINDS[kind](evidence()), tmp_path / f"one{suffix}")
        write(KINDS[kind](evidence()), tmp_path / f"other{suffix}")
        one = (tmp_path / f"one{suffix}").read_bytes()
        assert one == (tmp_path / f"other{suffix}").read_bytes()
        assert b"CreationDate" not in one
        assert b"dc:date" not in one


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown suffix of .*one\.gif.*\.pdf, \.png, \.svg"):
        write(KINDS["bars"](evidence()), tmp_path / "one.gif")
    assert not list(tmp_path.iterdir())


def test_the_style_tells_lines_apart_without_colour_and_leaves_text_as_text() -> None:
    looks = [line(place) for place in range(55)]
    assert len({(look.marker, str(look.linestyle)) for look in looks}) == 55
    assert len({look.color for look in looks[: len(COLOURS)]}) == len(COLOURS)
    svg = texts(KINDS["curves"](evidence()))
    assert svg.startswith("<svg")
    assert ">accuracy (%)</text>" in svg
    for axes in KINDS["curves"](evidence()).axes:
        assert not axes.spines["top"].get_visible()
        assert not axes.spines["right"].get_visible()


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_leaves_the_picture_and_none_is_small(kind: str) -> None:
    from matplotlib.text import Text

    figure = KINDS[kind](evidence(fraction=0.1))
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden_ticks(figure):
            assert text.get_fontsize() / 2 >= 8, text  # points at half size
            box = text.get_window_extent()
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text


def hidden_ticks(figure) -> set:
    """Labels of ticks beyond an axis' limits, which are never drawn, and all of invisible panels."""
    from matplotlib.text import Text

    drawn = {
        label
        for axes in figure.axes
        if axes.get_visible()
        for axis, low_high in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        if min(low_high) <= tick.get_loc() <= max(low_high)
        for label in (tick.label1,)
    }
    ticks = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
    }
    invisible = {text for axes in figure.axes if not axes.get_visible() for text in axes.findobj(Text)}
    return (ticks - drawn) | invisible


def test_what_is_evaluated_instead_of_the_metric_is_named() -> None:
    evaluations = [{"kind": "evaluation", "step": 1, "validation_loss": 2.0, "validation_perplexity": 7.4}]
    assert quantity(METRIC, "bleu", [evaluations]).label == "validation perplexity"
    assert quantity(METRIC, "bleu", []).label == "BLEU"


HOSTILE = r"cost $\frac$ x of ${model.width} and ${method.name} at x_1^2"


@pytest.mark.parametrize("kind", KINDS)
def test_a_dollar_is_a_letter(kind: str) -> None:
    known = evidence()
    layout = replace(known.table.layout, title=HOSTILE)
    drawn = html.unescape(texts(KINDS[kind](replace(known, table=replace(known.table, layout=layout)))))
    assert all(word in drawn for word in HOSTILE.split())  # a long title is wrapped


def test_numbers_at_logarithmic_axes_are_plain() -> None:
    known = evidence({("FC", "mnist"): [9.0], ("SET", "mnist"): [900.0]}, paper={})
    perplexed = [
        replace(run, records=[{"kind": "evaluation", "step": 1, "perplexity": run.result["reported"]}]) for run in known.runs
    ]  # fmt: skip
    known = Evidence(replace(known.table, metric="perplexity"), (*perplexed, *evidence().runs))
    bench = {"panel": "a", "size": 64, "density": 0.1, "device": "cpu", "candidate": "node based"}
    drawn = [KINDS[kind](known) for kind in ("curves", "flops", "degrees")]
    drawn.append(runtime([bench | {"ms": {"median": 3.0, "low": 2.0, "high": 4.0}}]))
    for figure in drawn:
        empty = [axes for axes in figure.axes if any(text.get_gid() == "said" for text in axes.texts)]
        assert not [tick for axes in empty for tick in axes.xaxis.get_minorticklocs()]
        assert {"log", "symlog"} & {scale for axes in figure.axes for scale in (axes.get_xscale(), axes.get_yscale())}
        assert "$" not in texts(figure)


def test_runtimes_are_medians_over_density_and_size() -> None:
    rows = [
        {"panel": panel, "size": size, "density": density, "device": "cpu", "candidate": kind,
         "ms": {"median": ms, "low": ms / 2, "high": 2 * ms}}
        for panel, size, density, ms in (("a", 64, 0.1, 1.0), ("a", 64, 0.2, 2.0), ("b", 32, 0.05, 3.0), ("b", 64, 0.05, 4.0))
        for kind in ("node based", "path based")
    ]  # fmt: skip
    figure = runtime(rows)
    (node, path) = figure.axes[0].lines
    assert (node.get_gid(), path.get_gid()) == ("node based cpu", "path based cpu")
    assert (node.get_xdata().tolist(), node.get_ydata().tolist()) == ([0.1, 0.2], [1.0, 2.0])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a) 64 x 64", "(b) 5% density"]
    assert "no results" in texts(runtime([]))


def test_an_adjacency_matrix_is_drawn_as_it_is() -> None:
    import numpy as np

    mask = np.eye(4, dtype=bool)
    figure = adjacency("Matrices", [{"one": mask, "other": ~mask}, {"third": mask}], ["A note."])
    images = {image.get_gid(): image.get_array() for axes in figure.axes for image in axes.images}
    assert set(images) == {"one", "other", "third"}
    assert (images["other"] == ~mask).all()
    assert sum(axes.get_visible() for axes in figure.axes) == 3


def test_drawing_loads_no_torch() -> None:
    code = (
        "import sys; from chtexp.report.figures import runtime, svg_text;"
        "svg_text(runtime([])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
