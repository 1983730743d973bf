"""Which evaluation of a training counts, and what becomes of the model at that step."""

from __future__ import annotations

from typing import Literal

from chtexp.config.typed import Description


class Selection(Description):
    """How a run selects the evaluation that it reports, among those at the final density.

    Attributes:
        moment: `best test`, the best evaluation by the reported metric itself; `best validation`, the best one by a metric of
            held-out data; `last`, the last one, even if an earlier one was better.
        metric: the name of the metric in `Task.evaluate` by which evaluations are compared.
        higher_is_better: whether a higher value of `metric` is better.
        keeps_model: whether the weights of the selected model are saved.
        tested_once: whether the reported metric comes from `Task.final_scores`, which tests the selected model once, when
            the training is over.
    """

    moment: Literal["best test", "best validation", "last"]
    metric: str
    higher_is_better: bool
    keeps_model: bool = False
    tested_once: bool = False
