"""Zero-shot evaluation of a trained language model by EleutherAI's harness (arXiv:2501.19107, Tables 18 to 20).

Scores come from the harness's own answers, item by item, the same way for every task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, SupportsInt, TypedDict

import numpy as np

from chtexp.data.labelled import read_labelled
from chtexp.data.question_sets import FOLDER, QUESTION_SETS, Record, read_questions
from chtexp.errors import UserError
from chtexp.trained.harness import go_offline, harness_version, quietly
from chtexp.trained.writer import Writer
from chtexp.trained.zeroshot_score import Score, score

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

PAPER_TASKS = (
    *("cola", "mnli", "mrpc", "qnli", "qqp", "rte"),
    *("sst2", "wnli", "hellaswag", "boolq", "cb", "copa"),
)
MULTIPLE_CHOICE = "multiple_choice"


@dataclass(frozen=True)
class LocalTask:
    """A question about texts that lie here.

    Attributes:
        records: which texts; a key of LABELLED.
        text: a template of the question.
        choices: the answers, by label.
    """

    records: str
    text: str
    choices: tuple[str, ...]


# as GLUE asks them
LOCAL_TASKS = {
    "rte_local": LocalTask("rte", "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:", ("True", "False")),
    "reviews_local": LocalTask(
        "reviews",
        "{{sentence}}\nQuestion: Is this sentence positive or negative?\nAnswer:",
        ("negative", "positive"),
    ),
}


class Sample(TypedDict):
    """An item as the harness returns it.

    Attributes:
        target: the right answer, as the task gives it.
        arguments: the question and one answer, for every answer.
        filtered_resps: the log-likelihood of every answer, and whether it is the greedy one.
    """

    target: object
    arguments: list[tuple[str, str]]
    filtered_resps: list[tuple[float, bool]]


class Lacking(NamedTuple):
    """A task that could not be evaluated, and why."""

    task: str
    reason: str


def evaluate_zero_shot(
    writer: Writer,
    tasks: Sequence[str],
    root: Path | None,
    *,
    limit: int | None = None,
    batch: int = 32,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Score | Lacking]:
    """Evaluate a language model on tasks, each score as soon as it is known.

    Wherever texts are from, questions, answers and metrics are the harness's own.

    Args:
        writer: the language model.
        tasks: names of the harness (PAPER_TASKS are the paper's), or LOCAL_TASKS.
        root: of the data. Texts of QUESTION_SETS that lie below it are read there, those of LOCAL_TASKS must; all others come
            from the Hugging Face hub.
        limit: the first so many items of each task; None: all.
        batch: items of one forward pass.
        say: told one line before what takes long.

    Yields:
        The score of each task in order, or why there is none.

    Raises:
        UserError: before any task is evaluated, for one that is not known, offers no choice of answers, or whose local texts are
            broken or, of LOCAL_TASKS, not there.
    """
    harness_version()
    if not tasks:
        return
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    asked = {task: _settings(task, manager, root) for task in tasks}
    here = {task: read_questions(task, root) for task in tasks}
    tokenizer, device = writer.tokenizer.hugging_face(), str(writer.device)
    with quietly():
        model = HFLM(pretrained=writer.network, tokenizer=tokenizer, batch_size=batch, device=device)
    for task, settings in asked.items():
        records = here[task]
        if records is None and task not in LOCAL_TASKS:
            say(f"{task}: its texts are not below the data root: asking the Hugging Face hub")
        try:
            with quietly():
                asks = (
                    on_records(task, records, manager)
                    if records is not None
                    else manager.load(settings if task in LOCAL_TASKS else task)["tasks"][task]
                )
        except OSError as error:
            if isinstance(error, ConnectionError):
                go_offline()
            why = f"{_by_hand(task, root)}the hub does not give them ({_first_line(error)})"
            yield Lacking(task, f"its texts cannot be had: {why}")
            continue
        if (longest := _longest_answer(asks, model, limit)) > model.max_length:
            yield Lacking(task, f"an answer has {longest} tokens, more than the {model.max_length} of the network")
            continue
        items = len(asks.eval_docs)
        say(f"{task}: evaluating {min(items, limit or items)} items")
        with quietly():
            found = simple_evaluate(model=model, tasks=[asks], task_manager=manager, limit=limit, bootstrap_iters=0)
        samples = found["samples"][task]
        cut = sum(_is_cut(model, sample) for sample in samples)
        whole = None if records is None or len(records) == QUESTION_SETS[task].items else QUESTION_SETS[task].items
        yield score(task, _answers(task, samples), _fixed_choices(settings), cut, whole)


def on_records(task: str, records: Sequence[Record], manager: TaskManager) -> ConfigurableTask:
    """Make the harness's own task ask about given records in place of the texts of the hub.

    Args:
        task: its name.
        records: as `read_questions` returns them.
        manager: of the harness's tasks.
    """
    import datasets

    given: dict[str, object] = {
        "task": task,
        "training_split": None,
        "custom_dataset": lambda **ignored: {"validation": datasets.Dataset.from_list([dict(one) for one in records])},
    }
    if task == "hellaswag":
        given["process_docs"] = lambda docs: docs  # question and choices are made already
    return manager.load({"group": "here", "task": [given]})["tasks"][task]


def as_record(score: Score, limit: int | None = None) -> dict[str, object]:
    """A score as it is kept beside a run.

    Args:
        score: of one task.
        limit: the first so many items were evaluated; None: all.
    """
    return {**asdict(score), "limit": limit, "lm_eval": harness_version()}


def _settings(task: str, manager: TaskManager, root: Path | None) -> Mapping[str, object]:
    """How a task is set up. Raises UserError for one that cannot be scored here."""
    if task in LOCAL_TASKS:
        return _local(task, root)
    if task not in manager.all_subtasks:
        raise UserError(
            f"the harness knows no task '{task}'; the paper's are {', '.join(PAPER_TASKS)}; on local files: "
            f"{', '.join(LOCAL_TASKS)}"
        )
    settings: Mapping[str, object] = manager.task_index[task].cfg
    kind = settings.get("output_type", "a class of its own" if "class" in settings else "generate_until")
    if kind != MULTIPLE_CHOICE:
        raise UserError(
            f"'{task}' offers no choice of answers (its output_type is {kind}): only tasks of {MULTIPLE_CHOICE} can be scored; "
            f"the paper's are {', '.join(PAPER_TASKS)}"
        )
    return settings


def _local(task: str, root: Path | None) -> dict[str, object]:
    import datasets

    local = LOCAL_TASKS[task]
    ordered = read_labelled(local.records, root)
    records = [
        dict(ordered[index]) for index in np.random.default_rng(0).permutation(len(ordered))
    ]  # a limit takes both labels
    return {
        "task": task,
        "custom_dataset": lambda **ignored: {"test": datasets.Dataset.from_list(records)},
        "test_split": "test",
        "output_type": MULTIPLE_CHOICE,
        "doc_to_text": local.text,
        "doc_to_choice": list(local.choices),
        "doc_to_target": "label",
        "metric_list": [{"metric": "acc"}],
    }


def _fixed_choices(settings: Mapping[str, object]) -> tuple[str, ...] | None:
    """The answers that all items of a task share, by label; None if every item has its own, or two are called the same."""
    choices = settings.get("doc_to_choice")
    names = tuple(str(choice) for choice in choices) if isinstance(choices, list) else ()
    return names if names and len(set(names)) == len(names) else None


def _answers(task: str, samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """The right answer and the likeliest of every item. Raises UserError where the right one is no single label."""
    return [
        (_label(task, sample), int(np.argmax([likelihood for likelihood, _ in sample["filtered_resps"]])))
        for sample in samples
    ]


def _label(task: str, sample: Sample) -> int:
    """The right answer's number; some tasks (COPA) name the answer itself."""
    target = sample["target"]
    answers = [answer.strip() for _, answer in sample["arguments"]]
    if isinstance(target, str) and answers.count(target.strip()) == 1:
        return answers.index(target.strip())
    if isinstance(target, str | SupportsInt):
        with suppress(ValueError):
            return int(target)
    raise UserError(f"'{task}' cannot be scored: the right answer of an item is {target!r}, and not one of its choices")


def _by_hand(task: str, root: Path | None) -> str:
    """Where texts would lie that this project reads."""
    if task not in QUESTION_SETS:
        return ""
    return f"no {(root or Path('<data root>')) / FOLDER / QUESTION_SETS[task].file}, and "


def _is_cut(model: HFLM, sample: Sample) -> bool:
    """Whether a question and one of its answers are longer than the context: the harness then leaves out the beginning.

    The last token is only predicted, and needs no place; an empty question is asked by one token that begins a text.
    """
    lengths = [len(model.tok_encode(question + answer)) + (not question) for question, answer in sample["arguments"]]
    return max(lengths) > int(model.max_length) + 1


def _longest_answer(task: ConfigurableTask, model: HFLM, limit: int | None) -> int:
    """In tokens, of those that are asked for: the harness takes none that is longer than the network's context."""
    docs = islice(task.eval_docs, limit)
    answers = {task.config.target_delimiter + choice for doc in docs for choice in task.doc_to_choice(doc)}
    return max((len(model.tok_encode(answer)) for answer in answers), default=0)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
