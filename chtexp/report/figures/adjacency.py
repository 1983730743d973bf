"""Adjacency matrices of network models, as in the paper's Figure 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chtexp.report.figures.matrices import Matrices
from chtexp.report.figures.sheet import Sheet
from chtexp.report.figures.style import GREY, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def adjacency(title: str, masks: Matrices, notes: Sequence[str]) -> Figure:
    """Draw adjacency matrices of network models, as in the paper's Figure 5.

    Args:
        title: the title of the figure.
        masks: rows of panels, each a bool array [outputs, inputs] by its name; True (black) where there is a link.
        notes: sentences below the figure.

    Returns:
        The figure.
    """
    sheet = Sheet(title, len(masks), max(map(len, masks)), panel=(2.8, 3.0))
    with styled():
        for axes in sheet.axes.flat:
            axes.set_visible(False)
        for line, models in zip(sheet.axes, masks, strict=True):
            for axes, (name, mask_OI) in zip(line, models.items(), strict=False):
                axes.set_visible(True)
                axes.imshow(mask_OI, cmap="Greys", vmin=0, vmax=1, interpolation="none").set_gid(name)
                axes.set_title(name)
                axes.set_xticks([])
                axes.set_yticks([])
                for spine in axes.spines.values():
                    spine.set(visible=True, color=GREY)
        sheet.axes[0, 0].set_xlabel("inputs")
        sheet.axes[0, 0].set_ylabel("outputs")
    return sheet.finish(notes)
