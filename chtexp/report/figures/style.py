"""The one style of every figure: told apart without colour, legible at half size, the same bytes for the same input.

Colours are Okabe and Ito's, with a grey for their yellow, which is lost on white; each line also has a marker and dashes of its
own, each bar a hatch. Text is 16 points, which are 8 at half size, and stays text in SVG and PDF.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp.errors import unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".pdf", ".png", ".svg")
FONT = 16  # points at full size
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
HATCHES = ("", "//", "..", "\\\\", "xx", "--")
FAINT = "#D9D9D9"
GREY = "#666666"  # of what is said beside the data, still legible on white
LIGHTNESS = "cividis"  # of heat maps: from dark to light in grey as well, and the same to a colour-blind eye

_SETTINGS: dict[str, Any] = {
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
_NO_DATES: Mapping[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


@dataclass(frozen=True)
class Line:
    """How one line looks."""

    color: str
    marker: str
    linestyle: Any

    def keywords(self) -> dict[str, Any]:
        """As `Axes.plot` takes them; markers are filled white, so that lines below show through."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markerfacecolor": "white",
            "markeredgewidth": 1.8,
        }


def line(place: int) -> Line:
    """The look of the line at `place` among the others; the first 55 differ in marker or dashes, the first 8 in colour, too."""
    return Line(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib in this style, meanwhile."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)  # type: ignore[arg-type]
        yield


def check_suffix(path: Path) -> None:
    """Raise UserError unless it is one of FIGURE_SUFFIXES."""
    if path.suffix not in FIGURE_SUFFIXES:
        raise unknown(f"suffix of {path}", path.suffix, FIGURE_SUFFIXES)


def write(figure: Figure, path: Path) -> None:
    """`figure` to a file, as its suffix says; its folder is made."""
    check_suffix(path)
    content = _content(figure, path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def svg_text(figure: Figure) -> str:
    """`figure` as an <svg> element, to stand in a page."""
    text = _content(figure, ".svg").decode()
    return text[text.index("<svg") :]


def _content(figure: Figure, suffix: str) -> bytes:
    content = io.BytesIO()
    with styled():
        figure.savefig(content, format=suffix[1:], metadata=_NO_DATES[suffix])
    return content.getvalue()


NARROW = 6.0  # highest over lowest value of a logarithmic axis


def logarithmic(axes: Any, which: str) -> None:
    """A logarithmic axis ("x" or "y") with a plain number at 1, 2 and 5 of every power of ten, or a few where it is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = getattr(axes, f"get_{which}lim")()
    narrow = high < NARROW * low  # fewer than two of 1, 2 and 5 may lie between
    axis.set_major_locator(MaxNLocator(4) if narrow else LogLocator(subs=(1, 2, 5)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("e+", "e")))


def empty(axes: Any, words: str) -> None:
    """A panel that has nothing to show: no numbers at its axes, `words` in its middle."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([])
        axis.set_ticks([], minor=True)  # of a logarithmic axis
    said(axes, words)


def said(axes: Any, words: str) -> None:
    """`words` in the middle of a panel."""
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 3}
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, bbox=behind, gid="said")


def paper_point(axes: Any, across: float, up: float, *, color: str = "black", marker: str = "D", **more: Any) -> Any:
    """A value of the paper: a hollow diamond, with its error where it has one; returns what stands for it in a legend."""
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


def spread_labels(axes: Any, ends: Sequence[tuple[float, str, str]], apart: float = 0.09) -> None:
    """Names at the right end of lines, pushed up where one would meet the one below.

    ends: height in data, name and colour of each line. apart: of the panel's height. The panel's limits must be final.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    left, _ = axes.get_xlim()
    height = -1.0
    for value, name, colour in sorted(ends):
        own = float(to_axes.transform((left, value))[1])
        height = max(own, height + apart)
        axes.text(1.03, height, name, transform=axes.transAxes, color=colour, va="center")
