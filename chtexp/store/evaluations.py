"""Scores of a finished run's model on tasks that it was not trained for: kept beside the result, carried with it, read off it.

A score is a record of one task: task, n, accuracy and its error (percent), matthews, shares of labels (percent) by the names in
choices (None: by number), cut (items that were too long for the network), whole (items of the whole task, where the texts at
hand are a part of it), limit (the first so many items; None: all), and lm_eval, the version of what evaluated it. A result holds
them, where there are any, in a list under `zeroshot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from chtexp.errors import unknown
from chtexp.store.files import read_json_if_any

FILE = "zeroshot.json"
KEY = "zeroshot"

Result = Mapping[str, Any]
Score = Mapping[str, Any]


def scores_in(folder: Path) -> list[Score]:
    """The scores beside the run in `folder`."""
    found = read_json_if_any(folder / FILE)
    return [] if found is None else list(found["scores"])


def finished(scores: Sequence[Score], tasks: Sequence[str], limit: int | None, lm_eval: str) -> dict[str, Score]:
    """Of `tasks`, by name, the scores that asking again would only repeat.

    Those that do not say what was cut are none, nor are those of a part of a task: more of its texts may be at hand by now.
    """
    return {
        score["task"]: score
        for score in scores
        if score["task"] in tasks
        and "cut" in score
        and score.get("whole") is None
        and (score.get("limit"), score.get("lm_eval")) == (limit, lm_eval)
    }


def newest(former: Sequence[Score], scores: Sequence[Score]) -> list[Score]:
    """`scores`, after the former ones of other tasks; of a task, a score of fewer items replaces nothing."""
    known = {score["task"]: score["n"] for score in former}
    better = [score for score in scores if score["n"] >= known.get(score["task"], 0)]
    anew = {score["task"] for score in better}
    return [*(score for score in former if score["task"] not in anew), *better]


def with_scores(result: Result, scores: Sequence[Score]) -> Result:
    """`result`, and of `scores` those of tasks that it has no score of."""
    together = newest(scores, result.get(KEY) or [])
    return {**result, KEY: together} if together else result


def evaluated(result: Result) -> dict[str, tuple[Any, ...]]:
    """What two copies of one run must agree in, by task."""
    return {
        f"{KEY} of {score['task']}": (score["n"], score["accuracy"], score["matthews"])
        for score in result.get(KEY) or []
    }


def read_off(result: Result, tasks: Sequence[str], score: str, metric: str) -> Result | None:
    """`result` as if it reported the mean of a score over `tasks`, higher being better; None unless it has all of them.

    score: `accuracy`, `matthews`, `shares.1` of label 1, or `shares.yes` of the one of that name. Raises UserError for a name
    that no label of a task has.
    """
    found = {record["task"]: record for record in result.get(KEY) or []}
    if not set(tasks) <= set(found):
        return None
    partly = [task for task in tasks if found[task].get("whole") is not None]
    limits = [found[task]["limit"] for task in tasks if found[task].get("limit") is not None]
    return {
        **result,
        "metric": metric,
        "higher_is_better": True,
        "reported": fmean(_value(found[task], score) for task in tasks),
        "last": None,
        "item_limit": min(limits, default=None),
        "parts": [f"{found[task]['n']:,} of {found[task]['whole']:,} items of {task}" for task in partly],
    }


def _value(record: Score, score: str) -> float:
    name, _, label = score.partition(".")
    if not label:
        return float(record[name])
    choices = record.get("choices") or ()
    if label.isdecimal() and int(label) < len(choices):
        label = choices[int(label)]
    elif choices and label not in choices:
        raise unknown(f"label of {record['task']}", label, choices)
    return float(record[name].get(label, 0.0))
