"""What holds of every figure: gaps are gaps, marks are explained, text is legible, the same input gives the same bytes."""

from __future__ import annotations

import html
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from drawn import LAYOUT, evidence, texts

from chtexp.errors import UserError
from chtexp.report.figures import KINDS, FigureInput, runtime, write
from chtexp.report.figures.series import METRIC, quantity
from chtexp.report.figures.style import COLOURS, line, logarithmic


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
    drawn = texts(KINDS[kind](FigureInput(replace(known.table, rows=chosen), known.runs_of("FC", "mnist"))))
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
        replace(run, records=[{"kind": "evaluation", "step": 1, "perplexity": run.result.reported}]) for run in known.runs
    ]  # fmt: skip
    known = FigureInput(replace(known.table, metric="perplexity"), (*perplexed, *evidence().runs))
    bench = {"panel": "a", "size": 64, "density": 0.1, "device": "cpu", "candidate": "node based"}
    drawn = [KINDS[kind](known) for kind in ("curves", "flops", "degrees")]
    drawn.append(runtime([bench | {"ms": {"median": 3.0, "low": 2.0, "high": 4.0}}]))
    for figure in drawn:
        empty = [axes for axes in figure.axes if any(text.get_gid() == "said" for text in axes.texts)]
        assert not [tick for axes in empty for tick in axes.xaxis.get_minorticklocs()]
        assert {"log", "symlog"} & {scale for axes in figure.axes for scale in (axes.get_xscale(), axes.get_yscale())}
        assert "$" not in texts(figure)


def test_drawing_loads_no_torch() -> None:
    code = (
        "import sys; from chtexp.report.figures import runtime, svg_text;"
        "svg_text(runtime([])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
