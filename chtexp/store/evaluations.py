"""Scores of a finished run's model on tasks that it was not trained for: kept beside the result, and part of it when it is read.

A score is the record of one task: task, n, accuracy and its error (percent), matthews, shares of labels (percent) by the names
in choices (None: by number), cut (items that were too long for the network), whole (items of the whole task, where the texts
at hand are a part of it), limit (only the first so many items; None: all), and lm_eval, the version of the evaluation harness.
A result holds its scores, if there are any, in a list under `zeroshot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import BeforeValidator

from chtexp.errors import unknown
from chtexp.store.damage import Damaged
from chtexp.store.files import UNREADABLE, read_record_if_any, write_json
from chtexp.store.records import Identity, Score, Seed, is_list
from chtexp.store.results import Result
from chtexp.store.seal import Sealed, sealed

FILE = "zeroshot.json"
KEY = "zeroshot"


class Scores(Sealed):
    """The scores of a run's model (`zeroshot.json`).

    Attributes:
        run: the identity of the run; None in older files.
        seed: its seed; None in older files.
        scores: one a task.
    """

    run: Identity | None = None
    seed: Seed | None = None
    scores: Annotated[tuple[Score, ...], BeforeValidator(is_list)]


def scores_in(folder: Path, run: str, seed: int) -> list[Score]:
    """Read the scores beside a run.

    Args:
        folder: the run's folder.
        run: the identity of the run.
        seed: its seed.

    Raises:
        Damaged: they cannot be read whole, or are those of another run.
    """
    found = read_record_if_any(folder / FILE, Scores)
    if found is None:
        return []
    if (found.run, found.seed) not in ((run, seed), (None, None)):
        raise Damaged(folder / FILE, f"holds the scores of another run: {found.run} seed {found.seed}")
    return list(found.scores)


def write_scores(folder: Path, run: str, seed: int, scores: Sequence[Score]) -> None:
    """Write the scores beside the run in `folder`.

    Args:
        folder: the run's folder.
        run: the identity of the run.
        seed: its seed.
        scores: one a task.
    """
    write_json(folder / FILE, sealed({"run": run, "seed": seed, "scores": [score.plain for score in scores]}))


def evaluated_by(result: Result, folder: Path) -> Result:
    """Add the scores that lie beside a result.

    Args:
        result: the result.
        folder: the run's folder.

    Returns:
        The result with the scores, where there are any.

    Raises:
        Damaged: the scores cannot be read whole, or are another run's.
    """
    scores = scores_in(folder, *result.key)
    try:
        return with_scores(result, scores) if scores else result
    except UNREADABLE as error:
        raise Damaged(folder / FILE, str(error)) from None


def finished(scores: Sequence[Score], tasks: Sequence[str], limit: int | None, lm_eval: str) -> dict[str, Score]:
    """Find the scores that another evaluation would only repeat.

    Scores that do not say how many items were cut do not count, nor do those of a part of a task: more of its texts may be at
    hand by now.

    Args:
        scores: the known scores.
        tasks: the tasks that are wanted.
        limit: how many items of a task are wanted; None: all.
        lm_eval: the version of the evaluation harness.

    Returns:
        The scores by task.
    """
    return {
        score.task: score
        for score in scores
        if score.task in tasks
        and score.cut is not None
        and score.whole is None
        and (score.limit, score.lm_eval) == (limit, lm_eval)
    }


def newest(former: Sequence[Score], scores: Sequence[Score]) -> list[Score]:
    """Join former and new scores; of one task, a score over fewer items replaces nothing."""
    known = {score.task: score.n for score in former}
    better = [score for score in scores if score.n >= known.get(score.task, 0)]
    anew = {score.task for score in better}
    return [*(score for score in former if score.task not in anew), *better]


def with_scores(result: Result, scores: Sequence[Score]) -> Result:
    """Add to a result those scores whose tasks it has no score of, or one over fewer items."""
    together = newest(scores, result.zeroshot or ())
    return result.changed(**{KEY: [score.plain for score in together]}) if together else result


def evaluated(result: Result) -> dict[str, tuple[int, float, float]]:
    """The numbers in which two copies of one run must agree: n, accuracy and Matthews' coefficient, by task."""
    return {f"{KEY} of {score.task}": (score.n, score.accuracy, score.matthews) for score in result.zeroshot or ()}


def read_off(result: Result, tasks: Sequence[str], score: str, metric: str) -> Result | None:
    """Read a result as if it reported the mean of a score over tasks, higher being better.

    Args:
        result: the result with its scores.
        tasks: the tasks to average over.
        score: `accuracy`, `matthews`, `shares.1` for label 1, or `shares.yes` for the label of that name.
        metric: the name of the new metric.

    Returns:
        The result with that metric; None unless it has scores of all tasks.

    Raises:
        UserError: no label of a task has the name.
    """
    found = {record.task: record for record in result.zeroshot or ()}
    if not set(tasks) <= set(found):
        return None
    chosen = [found[task] for task in tasks]
    return result.model_copy(
        update={
            "metric": metric,
            "higher_is_better": True,
            "reported": fmean(_value(record, score) for record in chosen),
            "last": None,
            "item_limit": min((record.limit for record in chosen if record.limit is not None), default=None),
            "parts": tuple(
                f"{record.n:,} of {record.whole:,} items of {record.task}"
                for record in chosen
                if record.whole is not None
            ),
        }
    )


def _value(record: Score, score: str) -> float:
    name, _, label = score.partition(".")
    if not label:
        return float(getattr(record, name))
    choices = record.choices or ()
    if label.isdecimal() and int(label) < len(choices):
        label = choices[int(label)]
    elif choices and label not in choices:
        raise unknown(f"label of {record.task}", label, choices)
    return {"shares": record.shares, "answered": record.answered}[name].get(label, 0.0)
