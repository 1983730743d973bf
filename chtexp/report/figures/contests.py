"""Win rates with Wilson's intervals: how often each contestant of a contest beats the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from chtexp.report.figures.figure_input import NO_RESULTS, FigureInput, notes
from chtexp.report.figures.sheet import Sheet, panel_places
from chtexp.report.figures.style import COLOURS, GREY, line, paper_point, said, styled
from chtexp.report.number_format import GAP
from chtexp.report.statistics import Place, Rate, win_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Contestants = Mapping[str, Sequence[str]]  # by a name of its own, the rows that it stands for
Values = Mapping[str, Mapping[Place, float]]  # of each row, by place
PANELS_ABREAST = 2
ROW_INCHES = 0.42
RULE = (
    "Win rate: which share of the other contestants of a panel is beaten, a tie being half a win, averaged over columns and "
    "seeds (% of how many). A contestant of several rows has their mean, where all have a value. The bar is Wilson’s 95% "
    "interval, which takes columns and seeds for independent."
)
PAPER_RULE = "◇: the same from the paper’s means, where it reports all of them."


def win_rates(given: FigureInput, contests: Mapping[str, Contestants] | None = None) -> Figure:
    """Draw win rates with their intervals: a panel a contest, a point a contestant.

    How the paper's win rates are computed, and how a contestant of several rows counts, is not said there [choice]: RULE.

    Args:
        given: the table; values are compared column by column and seed by seed.
        contests: the contestants of each contest by its title. None: every row competes with every other.

    Returns:
        The figure, in percent.
    """
    contests = {
        title: {name: [row for row in rows if row in given.rows] for name, rows in contestants.items()}
        for title, contestants in (contests or {"all rows": {row: [row] for row in given.rows}}).items()
    }
    rows = max(len(contestants) for contestants in contests.values())
    down, across = panel_places(len(contests), PANELS_ABREAST)
    sheet = Sheet(given.table.layout.title, down, across, panel=(5.5, ROW_INCHES * rows + 1.3))
    papers: Values[str] = {
        row: {c: paper for c in given.columns if (paper := given.cell(row, c).paper) is not None} for row in given.rows
    }
    with styled():
        for place, axes in enumerate(sheet.axes.flat):
            if place >= len(contests):
                axes.set_visible(False)
                continue
            title = list(contests)[place]
            _panel(sheet, axes, given, title, contests[title], papers)
    return sheet.finish(notes(given, RULE, paper=PAPER_RULE if any(papers.values()) else ""))


def rates(values: Values[Place], contestants: Contestants, *, higher_is_better: bool) -> dict[str, Rate]:
    """Compute the win rate of each contestant against all others.

    Args:
        values: of each row, its value at each place: a column, or a column and a seed.
        contestants: the rows that each contestant stands for; of several, their mean counts.
        higher_is_better: whether the higher value wins.

    Returns:
        Rates in [0, 1] by contestant.
    """
    means = {name: _mean([values[row] for row in rows]) for name, rows in contestants.items()}
    return {
        name: win_rate(mine, [means[other] for other in means if other != name], higher_is_better=higher_is_better)
        for name, mine in means.items()
    }


def _mean(rows: Sequence[Mapping[Place, float]]) -> Mapping[Place, float]:
    """The mean over `rows` at each place where all have a value."""
    places = [place for place in rows[0] if all(place in row for row in rows)] if rows else []
    return {place: fmean(row[place] for row in rows) for place in places}


def values_by_seed(given: FigureInput) -> Values[tuple[str, int]]:
    """Collect the value of each (column, seed), in the metric's unit, by row."""
    found: dict[str, dict[tuple[str, int], float]] = {row: {} for row in given.rows}
    for cell in given.table.rows:
        for seed, value in zip(cell.seeds, cell.values, strict=True):
            if value is not None:
                found[cell.row][cell.column, seed] = value
    return found


def _panel(
    sheet: Sheet, axes: Axes, given: FigureInput, title: str, contestants: Contestants, papers: Values[str]
) -> None:
    higher = given.table.higher_is_better
    ours = rates(values_by_seed(given), contestants, higher_is_better=higher)
    theirs = rates(papers, contestants, higher_is_better=higher)
    complete = all(rate.rate is not None for rate in theirs.values())
    axes.set_title(title)
    axes.set_xlim(-4, 104)  # room for a mark at either end
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("win rate (%)")
    axes.axvline(50, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.grid(axis="x")
    axes.set_yticks(range(len(contestants)), list(contestants))
    axes.set_ylim(len(contestants) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    if all(rate.rate is None for rate in ours.values()) and not complete:
        said(axes, NO_RESULTS)
    for height, (name, rate) in enumerate(ours.items()):
        text = GAP
        if rate.rate is not None and rate.low is not None and rate.high is not None:
            middle, reach = 100 * rate.rate, [[100 * (rate.rate - rate.low)], [100 * (rate.high - rate.rate)]]
            drawn = axes.errorbar(
                middle,
                height,
                xerr=reach,
                fmt=line(0).marker,
                color=COLOURS[1],
                capsize=4,
                markersize=7,
                linewidth=2.2,
                zorder=6,  # within the paper's diamond, where both are the same
            )
            drawn.lines[0].set_gid(f"{title} {name}")
            mark = "".join(sorted({given.marked(row) for row in contestants[name]}))
            text = f"{middle:.0f}%{mark} of {rate.places}"
        if complete and (paper := theirs[name].rate) is not None:
            sheet.entry("the paper", paper_point(axes, 100 * paper, height))
        axes.text(1.02, height, text, transform=axes.get_yaxis_transform(), va="center")
