"""Zero-shot evaluation of a trained language model by EleutherAI's harness (arXiv:2501.19107, Tables 18 to 20).

Accuracy alone misleads where one label prevails, so Matthews' correlation stands beside it. Both come from the harness's own
answers, item by item, the same way for every task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from chtexp.data.labelled import read_labelled
from chtexp.errors import UserError
from chtexp.experiments.writer import Writer

PAPER_TASKS = (
    *("cola", "mnli", "mrpc", "qnli", "qqp", "rte"),
    *("sst2", "wnli", "hellaswag", "boolq", "cb", "copa"),
)
RESAMPLES = 1000  # of the standard error of Matthews' correlation
# GLUE's questions about texts that lie here
LOCAL_TASKS: dict[str, dict[str, Any]] = {
    "rte_local": {
        "records": "rte",
        "doc_to_text": "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:",
        "doc_to_choice": ["True", "False"],
    },
    "reviews_local": {
        "records": "reviews",
        "doc_to_text": "{{sentence}}\nQuestion: Is this sentence positive or negative?\nAnswer:",
        "doc_to_choice": ["negative", "positive"],
    },
}


@dataclass(frozen=True)
class Score:
    """Of one task. accuracy and its standard error in percent; matthews in [-1, 1], its standard error by the bootstrap.

    shares: of every label among the n right answers, in percent; answered: among those given.
    """

    task: str
    n: int
    accuracy: float
    accuracy_error: float
    matthews: float
    matthews_error: float
    shares: dict[str, float]
    answered: dict[str, float]


def evaluate_zero_shot(
    writer: Writer, tasks: Sequence[str], root: Path | None, *, limit: int | None = None, batch: int = 32
) -> list[Score]:
    """The scores of the tasks, in their order.

    tasks: names of the harness (PAPER_TASKS are the paper's), whose texts come from the Hugging Face hub, or LOCAL_TASKS, whose
    texts lie below `root`. limit: the first so many items of each. Raises UserError for a task that is not
    known or whose texts cannot be had.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
    except ImportError:
        raise UserError("zero-shot evaluation needs EleutherAI's harness: pip install 'chtexp[zeroshot]'") from None
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    known = {*manager.all_subtasks, *LOCAL_TASKS}
    for task in tasks:
        if task not in known:
            raise UserError(
                f"the harness knows no task '{task}'; the paper's are {', '.join(PAPER_TASKS)}; on local files: "
                f"{', '.join(LOCAL_TASKS)}"
            )
    model = HFLM(
        pretrained=writer.network,
        tokenizer=writer.tokenizer.hugging_face(),
        batch_size=batch,
        device=str(writer.device),
    )
    scores = []
    for task in tasks:
        asked = _local(task, root) if task in LOCAL_TASKS else task
        try:
            found = simple_evaluate(model=model, tasks=[asked], task_manager=manager, limit=limit, bootstrap_iters=0)
        except (OSError, ConnectionError) as error:
            raise UserError(
                f"the texts of {task} cannot be had ({_first_line(error)}); without the hub take local tasks"
            ) from None
        scores.append(score(task, _answers(found["samples"][task])))
    return scores


def score(task: str, answers: Sequence[tuple[int, int]]) -> Score:
    """Of right and given answers, by item."""
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
        shares=_shares(right),
        answered=_shares(given),
    )


def matthews(right: np.ndarray, given: np.ndarray) -> float:
    """Matthews' correlation of two lists of labels, of any number of classes; 0 where one of them never varies."""
    return float(matthews_of(confusion(right, given)[1]))


def confusion(right: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels [L] that occur, and how often each (rows) was answered by each (columns) [L, L]."""
    labels, places = np.unique(np.concatenate([right, given]), return_inverse=True)
    table_LL = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table_LL, (places[: len(right)], places[len(right) :]), 1)
    return labels, table_LL


def matthews_of(tables: np.ndarray) -> np.ndarray:
    """Matthews' correlation of confusion tables [..., L, L] (Gorodkin 2004), of thousands of resampled ones at once."""
    tables = tables.astype(np.float64)
    right, given = tables.sum(-1), tables.sum(-2)
    count, hits = tables.sum((-2, -1)), np.trace(tables, axis1=-2, axis2=-1)
    both = hits * count - (right * given).sum(-1)
    spread = (count**2 - (right**2).sum(-1)) * (count**2 - (given**2).sum(-1))
    return np.divide(both, np.sqrt(spread), out=np.zeros_like(both), where=spread > 0)


def as_records(scores: Sequence[Score], limit: int | None = None) -> list[dict[str, Any]]:
    """The scores as they are kept beside a run, with the limit of items, and by which harness."""
    return [{**asdict(score), "limit": limit, "lm_eval": version("lm-eval")} for score in scores]


def _local(task: str, root: Path | None) -> dict[str, Any]:
    import datasets

    settings = LOCAL_TASKS[task]
    ordered = read_labelled(settings["records"], root)
    records = [
        dict(ordered[index]) for index in np.random.default_rng(0).permutation(len(ordered))
    ]  # a limit takes both labels
    return {
        "task": task,
        "custom_dataset": lambda **ignored: {"test": datasets.Dataset.from_list(records)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": settings["doc_to_text"],
        "doc_to_choice": settings["doc_to_choice"],
        "doc_to_target": "label",
        "metric_list": [{"metric": "acc"}],
    }


def _answers(samples: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """The right answer and the likeliest of every item."""
    return [
        (int(sample["target"]), int(np.argmax([likelihood for likelihood, _ in sample["filtered_resps"]])))
        for sample in samples
    ]


def _shares(labels: np.ndarray) -> dict[str, float]:
    counts = Counter(labels.tolist())
    return {str(label): 100 * counts[label] / len(labels) for label in sorted(counts)}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
