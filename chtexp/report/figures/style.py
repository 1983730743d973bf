"""The one style of every figure: readable without colour and at half size, the same bytes for the same input.

Colours are those of Okabe and Ito, with a grey for their yellow, which is invisible on white. Each line has its own marker
and dashes as well, each bar its hatch. Text is of 16 points, 8 at half size, and stays text in SVG and PDF.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from chtexp.errors import unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Transform
    from matplotlib.typing import LineStyleType, RcKeyType

FIGURE_SUFFIXES = (".pdf", ".png", ".svg")
FONT = 16  # points at full size
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
DASHES: tuple[LineStyleType, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
HATCHES = ("", "//", "..", "\\\\", "xx", "--")
FAINT = "#D9D9D9"
GREY = "#666666"  # of what is said beside the data, still legible on white
LIGHTNESS = "cividis"  # of heat maps: from dark to light in grey as well, and the same to a colour-blind eye

_SETTINGS: dict[RcKeyType, str | float] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along: the same on every machine
    "font.size": FONT,
    "text.parse_math": False,  # a "$" is a letter, as in ${model.width}
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "legend.fontsize": FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": FAINT,
    "lines.linewidth": 2.2,
    "lines.markersize": 8,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "chtexp",
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
}
_NO_DATES: Mapping[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


class LineKeywords(TypedDict):
    """The keyword arguments that `Axes.plot` and `Line2D` take for a `Line`; widths in points."""

    color: str
    marker: str
    linestyle: LineStyleType
    markerfacecolor: str
    markeredgewidth: float


class PointKeywords(TypedDict, total=False):
    """Further keyword arguments that `Axes.errorbar` takes for one point.

    Attributes:
        xerr: the error of the point, in data units; None without one.
        transform: the coordinates in which the point is placed.
        markeredgewidth: in points.
    """

    xerr: float | None
    transform: Transform
    markeredgewidth: float


@dataclass(frozen=True)
class Line:
    """The look of one line.

    Attributes:
        color: hexadecimal.
        marker: matplotlib's letter of it.
        linestyle: solid, or dashes as matplotlib takes them.
    """

    color: str
    marker: str
    linestyle: LineStyleType

    def keywords(self) -> LineKeywords:
        """The look as keyword arguments; markers are filled with white, so that lines below stay visible."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markerfacecolor": "white",
            "markeredgewidth": 1.8,
        }


def line(place: int) -> Line:
    """Choose the look of one line among others.

    The first 55 lines differ in marker or dashes, the first 8 in colour as well.

    Args:
        place: of the line among the others, from 0.

    Returns:
        The look.
    """
    return Line(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


@contextmanager
def styled() -> Iterator[None]:
    """Use this style of matplotlib inside, and restore the former settings afterwards."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def check_suffix(path: Path) -> None:
    """Check that a figure can be written to `path`.

    Raises:
        UserError: its suffix is none of FIGURE_SUFFIXES.
    """
    if path.suffix not in FIGURE_SUFFIXES:
        raise unknown(f"suffix of {path}", path.suffix, FIGURE_SUFFIXES)


def write(figure: Figure, path: Path) -> None:
    """Write a figure to a file, and create its folder.

    Args:
        figure: the figure.
        path: the file; its suffix, one of FIGURE_SUFFIXES, decides the format.

    Raises:
        UserError: another suffix.
    """
    check_suffix(path)
    content = _content(figure, path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def svg_text(figure: Figure) -> str:
    """The figure as an <svg> element, to be put into a page."""
    text = _content(figure, ".svg").decode()
    return text[text.index("<svg") :]


def _content(figure: Figure, suffix: str) -> bytes:
    content = io.BytesIO()
    with styled():
        figure.savefig(content, format=suffix[1:], metadata=_NO_DATES[suffix])
    return content.getvalue()


NARROW = 6.0  # highest over lowest value of a logarithmic axis


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of every power of ten, or a few where it is short.

    Args:
        axes: the panel, with its lines.
        which: "x" or "y".
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = getattr(axes, f"get_{which}lim")()
    narrow = high < NARROW * low  # fewer than two of 1, 2 and 5 may lie between
    axis.set_major_locator(MaxNLocator(4) if narrow else LogLocator(subs=(1, 2, 5)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("e+", "e")))


def empty(axes: Axes, words: str) -> None:
    """Show that a panel has no data: no numbers at its axes, `words` in its middle."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([])
        axis.set_ticks([], minor=True)  # of a logarithmic axis
    said(axes, words)


def said(axes: Axes, words: str) -> None:
    """Write `words` in the middle of a panel."""
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 3}
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, bbox=behind, gid="said")


def paper_point(
    axes: Axes, across: float, up: float, *, color: str = "black", marker: str = "D", **more: Unpack[PointKeywords]
) -> Line2D:
    """Draw a value of the paper: a hollow mark, with its error bar where it has one.

    Args:
        axes: the panel.
        across: its horizontal place, in data units unless `transform` says otherwise.
        up: its vertical place.
        color: of the mark.
        marker: its shape; a diamond unless it is given.
        more: further keyword arguments of `Axes.errorbar`.

    Returns:
        The handle for the legend.
    """
    drawn = axes.errorbar(
        across,
        up,
        fmt=marker,
        markersize=9,
        color=color,
        markerfacecolor="white",
        capsize=3,
        clip_on=False,
        zorder=5,
        **more,
    )
    drawn.lines[0].set_gid("paper")
    return drawn.lines[0]


def spread_labels(axes: Axes, ends: Sequence[tuple[float, str, str]], apart: float = 0.09) -> None:
    """Write names at the right end of lines, each pushed up where it would touch the one below.

    Args:
        axes: the panel; its limits must be final.
        ends: height in data units, name and colour of each line.
        apart: the least distance, as a share of the panel's height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    left, _ = axes.get_xlim()
    height = -1.0
    for value, name, colour in sorted(ends):
        own = float(to_axes.transform((left, value))[1])
        height = max(own, height + apart)
        axes.text(1.03, height, name, transform=axes.transAxes, color=colour, va="center")
