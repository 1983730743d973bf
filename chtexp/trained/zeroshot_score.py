"""What a language model's answers to questions with a choice are worth: accuracy, Matthews' correlation, shares of labels.

Accuracy alone misleads where one label prevails, so Matthews' correlation stands beside it.

Shapes: L labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000  # of the standard error of Matthews' correlation


@dataclass(frozen=True)
class Score:
    """The score of one task.

    Attributes:
        task: its name.
        n: items.
        accuracy: in percent.
        accuracy_error: its standard error, in percentage points.
        matthews: Matthews' correlation, in [-1, 1].
        matthews_error: its standard error, by the bootstrap.
        shares: of every label among the n right answers, in percent. Labels are called as in `choices`.
        answered: of every label among the n given answers, in percent.
        choices: the task's answers in the order of its labels 0, 1, ...; None: every item has answers of its own, and labels are
            "0", "1", ...
        cut: items whose text was longer than the network's context, and lost its beginning.
        whole: items of the whole task, where the texts at hand are a part of it; None: they are all.
    """

    task: str
    n: int
    accuracy: float
    accuracy_error: float
    matthews: float
    matthews_error: float
    shares: dict[str, float]
    answered: dict[str, float]
    choices: tuple[str, ...] | None = None
    cut: int = 0
    whole: int | None = None


def score(
    task: str,
    answers: Sequence[tuple[int, int]],
    choices: Sequence[str] | None = None,
    cut: int = 0,
    whole: int | None = None,
) -> Score:
    """Score a task.

    Args:
        task: its name.
        answers: the right and the given label of every item.
        choices, cut, whole: see `Score`.
    """
    right, given = (np.array(column) for column in zip(*answers, strict=True))
    hits, n = right == given, len(right)
    accuracy = float(hits.mean())
    _, table_LL = confusion(right, given)
    resampled = np.random.default_rng(0).multinomial(n, table_LL.ravel() / n, RESAMPLES)
    return Score(
        task=task,
        n=n,
        accuracy=100 * accuracy,
        accuracy_error=100 * float(np.sqrt(accuracy * (1 - accuracy) / max(n - 1, 1))),
        matthews=matthews(right, given),
        matthews_error=float(np.std(matthews_of(resampled.reshape(-1, *table_LL.shape)), ddof=1)),
        shares=_shares(right, choices),
        answered=_shares(given, choices),
        choices=None if choices is None else tuple(choices),
        cut=cut,
        whole=whole,
    )


def matthews(right: np.ndarray, given: np.ndarray) -> float:
    """Matthews' correlation of two lists of labels, of any number of classes.

    Args:
        right: int [N].
        given: int [N].

    Returns:
        In [-1, 1]; 0 where one of them never varies.
    """
    return float(matthews_of(confusion(right, given)[1]))


def confusion(right: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each label was answered by each.

    Args:
        right: int [N].
        given: int [N].

    Returns:
        The labels [L] that occur, and int64 [L, L]: right labels by row, given ones by column.
    """
    labels, places = np.unique(np.concatenate([right, given]), return_inverse=True)
    table_LL = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table_LL, (places[: len(right)], places[len(right) :]), 1)
    return labels, table_LL


def matthews_of(tables: np.ndarray) -> np.ndarray:
    """Matthews' correlation of confusion tables (Gorodkin 2004), of thousands of resampled ones at once.

    Args:
        tables: [..., L, L].

    Returns:
        [...] float64, in [-1, 1]; 0 where one side never varies.
    """
    tables = tables.astype(np.float64)
    right, given = tables.sum(-1), tables.sum(-2)
    count, hits = tables.sum((-2, -1)), np.trace(tables, axis1=-2, axis2=-1)
    both = hits * count - (right * given).sum(-1)
    spread = (count**2 - (right**2).sum(-1)) * (count**2 - (given**2).sum(-1))
    found: np.ndarray = np.divide(both, np.sqrt(spread), out=np.zeros_like(both), where=spread > 0)
    return found


def _shares(labels: np.ndarray, choices: Sequence[str] | None) -> dict[str, float]:
    """By label, in percent: of all choices where they are known, else of the labels that occur."""
    counts = Counter(labels.tolist())
    names = {label: str(label) for label in sorted(counts)} | dict(enumerate(choices or ()))
    return {name: 100 * counts[label] / len(labels) for label, name in sorted(names.items())}
