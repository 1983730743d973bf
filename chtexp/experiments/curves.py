"""How one training went, in a picture: metric and loss, and what became of the links."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

# Okabe and Ito's colours, each with a line of its own
STYLES = {
    "density": ("#0072B2", "-"),
    "anp": ("#D55E00", "--"),
    "itop": ("#009E73", "-."),
    "overlap": ("#CC79A7", ":"),
}
LABELS = {"anp": "ANP", "itop": "ITOP"}
INCHES = (10.0, 3.2)


def curves(records: Sequence[Mapping[str, Any]], metric: str) -> Image.Image:
    """Three panels over optimizer steps: `metric`, training loss, and density, ANP, ITOP and overlap (shares).

    records: evaluations and updates, as in `metrics.jsonl`. A task that tests once has no curve of its metric: then that of
    its validation loss.
    """
    from matplotlib.figure import Figure

    evaluations = [record for record in records if record["kind"] == "evaluation"]
    shown = metric if any(metric in record for record in evaluations) else "validation_loss"
    figure = Figure(figsize=INCHES, layout="constrained")
    for axes, key in zip(figure.subplots(1, 3), (shown, "train_loss", "links"), strict=True):
        axes.set_xlabel("step")
        axes.set_title(key.replace("_", " "), loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        if key != "links":
            axes.plot(*_line(evaluations, key), color="#0072B2", marker=".")
            continue
        for share, (colour, style) in STYLES.items():
            axes.plot(*_line(records, share), style, color=colour, label=LABELS.get(share, share))
        axes.set_ylim(-0.02, 1.02)
        axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return Image.open(picture)


def _line(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    points = [(record["step"], record[key]) for record in records if record.get(key) is not None]
    return [step for step, _ in points], [value for _, value in points]
