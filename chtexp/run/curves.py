"""A figure of one training: its metric and its loss, and what became of its links."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image

# The colours of Okabe and Ito, each with a line style of its own
STYLES = {
    "density": ("#0072B2", "-"),
    "anp": ("#D55E00", "--"),
    "itop": ("#009E73", "-."),
    "overlap": ("#CC79A7", ":"),
}
LABELS = {"anp": "ANP", "itop": "ITOP"}
INCHES = (10.0, 3.2)


def curves(records: Sequence[Mapping[str, object]], metric: str) -> Image.Image:
    """Draw a training in three panels over optimizer steps: metric, training loss, and shares (density, ANP, ITOP, overlap).

    Args:
        records: evaluations and topology updates, as in metrics.jsonl.
        metric: the metric to draw; where no evaluation has it, because the task tests once, the validation loss is drawn.

    Returns:
        The figure.
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


def _line(records: Sequence[Mapping[str, object]], key: str) -> tuple[list[int], list[float]]:
    """The steps of the records that have a number under `key`, and these numbers."""
    points = [
        (step, value)
        for record in records
        if isinstance(step := record["step"], int) and isinstance(value := record.get(key), int | float)
    ]
    return [step for step, _ in points], [value for _, value in points]
