"""Each kind of figure from made-up results: what is drawn is what the results say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn import LAYOUT, PAPER, VALUES, evidence, lines_by_name, records, texts
from matplotlib.container import BarContainer, ErrorbarContainer

from chtexp.report.expected import PaperNumber
from chtexp.report.figures import KINDS, FigureInput, adjacency, runtime
from chtexp.report.figures.contests import rates
from chtexp.report.figures.recorded import checked, updates
from chtexp.report.figures.series import QUANTITIES, over_seeds, series


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
    figure = KINDS["flops"](FigureInput(known.table, known.runs, {("SET", "mnist"): 7e13, ("CHTs_n", "mnist"): 7e13}))
    (point,) = [drawn for drawn in figure.axes[0].lines if drawn.get_gid() == "paper"]  # of CHTs_n it has no value here
    assert (float(point.get_xdata()[0]), float(point.get_ydata()[0])) == (7e13, 98.14)


def test_neurons_show_the_inputs_of_every_layer_and_the_outputs_of_the_last() -> None:
    figure = KINDS["neurons"](evidence())
    (mesh,) = figure.axes[0].collections
    assert mesh.get_array().ravel().tolist() == [50.0, 75.0, 100.0]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["first", "second", "outputs"]


def test_degrees_show_medians_quartiles_and_extremes_of_both_sides_at_both_moments() -> None:
    (seed,) = (run for run in evidence().runs_of("SET", "mnist") if run.seed == 0)
    later = {
        "kind": "update",
        "step": 18,
        "layers": {"first": {"input_degrees": [1, 2, 3, 4, 7], "output_degrees": [2] * 5}},
    }
    early = {**later, "step": 15, "layers": {"first": {"input_degrees": [0, 1, 2, 5, 9], "output_degrees": [3] * 5}}}
    figure = KINDS["degrees"](FigureInput(evidence().table, (replace(seed, records=[early, later]),)))
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
    drawn = KINDS[kind](FigureInput(known.table, tuple(runs)))
    assert "Not shown: SET on mnist (seed 0); what was recorded (metrics.jsonl) cannot be read." in texts(drawn)
    assert "No curves of" not in texts(drawn)
    assert any(axes.lines or axes.collections for axes in drawn.axes)


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
