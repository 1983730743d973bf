"""The harness's tasks on texts of this machine: the same questions, answers and metrics as on those of the hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chtexp.config.run import Run
from chtexp.data.question_sets import QUESTION_SETS, read_questions
from chtexp.run.execute import execute
from chtexp.trained.writer import Writer
from chtexp.trained.zeroshot import _longest_answer, evaluate_zero_shot, on_records
from chtexp.trained.zeroshot_score import Score

TANGO = {
    "activity_label": "Tango",
    "ctx_a": "A band on stage plays [music].",
    "ctx_b": "they",
    "endings": ["dance [title] They sing.", "eat.", "run.", "sleep."],
    "label": "0",
}
ENDINGS = ["dance. They sing.", "eat.", "run.", "sleep."]
# An item as it is read here, and what the harness asks: question, answers, and the right one.
ASKED: dict[str, tuple[dict[str, Any], str, list[str], Any]] = {
    "cola": (
        {"sentence": "He sings.", "label": 1},
        "He sings.\nQuestion: Does this sentence make sense?\nAnswer:", ["no", "yes"], 1,
    ),
    "mrpc": (
        {"sentence1": "A .", "sentence2": "B .", "label": 1},
        "Sentence 1: A .\nSentence 2: B .\nQuestion: Do both sentences mean the same thing?\nAnswer:", ["no", "yes"], 1,
    ),
    "qnli": (
        {"question": "Who?", "sentence": "He.", "label": 0},
        "Who?\nHe.\nQuestion: Does this response answer the question?\nAnswer:", ["yes", "no"], 0,
    ),
    "rte": (
        {"sentence1": "A dog runs.", "sentence2": "It runs.", "label": 0},
        "A dog runs.\nQuestion: It runs. True or False?\nAnswer:", ["True", "False"], 0,
    ),
    "sst2": (
        {"sentence": "a charming film ", "label": 1},
        "a charming film \nQuestion: Is this sentence positive or negative?\nAnswer:", ["negative", "positive"], 1,
    ),
    "wnli": (
        {"sentence1": "A dog runs.", "sentence2": "It runs.", "label": 1},
        "A dog runs.\nQuestion: It runs. True or False?\nAnswer:", ["False", "True"], 1,
    ),
    "hellaswag": (
        {"query": "Tango: A band on stage plays . They", "choices": ENDINGS, "label": 0},
        "Tango: A band on stage plays . They", ENDINGS, 0,
    ),
    "boolq": (
        {"passage": "It is.", "question": "is it", "label": 1},
        "It is.\nQuestion: is it?\nAnswer:", ["no", "yes"], 1,
    ),
    "cb": (
        {"premise": "Who knows?", "hypothesis": "he knows", "label": 2},
        "Who knows?\nQuestion: he knows. True, False, or Neither?\nAnswer:", ["True", "False", "Neither"], 2,
    ),
    "copa": (
        {"premise": "It rained.", "choice1": "The road got wet.", "choice2": "He sang.", "question": "effect", "label": 0},
        "It rained therefore", [" the road got wet.", " he sang."], " the road got wet.",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def manager() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def asked_by(task: Any) -> list[tuple[str, list[str], Any]]:
    """Of every item: question, answers, the right one."""
    return [(task.doc_to_text(doc), task.doc_to_choice(doc), task.doc_to_target(doc)) for doc in task.validation_docs()]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTION_SETS)
def test_a_task_asks_here_what_it_asks_of_the_hub(name: str, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    record, question, answers, right = ASKED[name]
    here = on_records(name, [record], manager)
    ((asked, choices, target),) = asked_by(here)
    assert (asked, choices, str(target)) == (question, answers, str(right))

    published = datasets.Dataset.from_list([TANGO if name == "hellaswag" else record])
    splits = datasets.DatasetDict(train=published, validation=published)
    monkeypatch.setattr("datasets.load_dataset", lambda **_: splits)
    theirs = manager.load(name)["tasks"][name]
    assert asked_by(theirs) == asked_by(here)
    assert here.config.metric_list == theirs.config.metric_list
    assert here.config.target_delimiter == theirs.config.target_delimiter
    assert here.config.num_fewshot == theirs.config.num_fewshot
    results = [(-float(place), False) for place in range(len(answers))]
    assert here.process_results(here.validation_docs()[0], results) == theirs.process_results(
        theirs.validation_docs()[0], results
    )


@pytest.mark.slow
def test_the_real_items_of_hellaswag_are_prepared_as_the_harness_prepares_them(manager: Any) -> None:
    from lm_eval.tasks.hellaswag.utils import preprocess

    records = read_questions("hellaswag", data_root())
    assert records
    for record in records:
        assert "[" not in record["query"] or preprocess(record["query"]) == record["query"]
        assert ": " in record["query"]


def data_root() -> Path:
    given = os.environ.get("CHTEXP_DATA")
    if not given or not (Path(given) / "glue").exists():
        pytest.skip("CHTEXP_DATA is not set, or does not hold glue/")
    return Path(given)


@pytest.mark.slow
def test_scores_are_the_harness_s_own(small_text: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tasks on a trained network: accuracy of all, Matthews' correlation of CoLA."""
    import lm_eval

    root, found = data_root(), []
    whole = lm_eval.simple_evaluate

    def evaluated(**options: Any) -> Any:
        outcome = whole(**options)
        found.append(outcome["results"])
        return outcome

    monkeypatch.setattr("lm_eval.simple_evaluate", evaluated)
    run = small_text("data.sequence_length=256", "task.batch=2", "task.at_once=2")
    execute(run, "command")
    writer = Writer(run.folder.path, torch.device("cpu"))
    scores = list(evaluate_zero_shot(writer, list(QUESTION_SETS), root, limit=12))
    assert len(scores) == len(found) == 10
    for score, results in zip(scores, found, strict=True):
        assert isinstance(score, Score)
        metrics = results[score.task]
        assert score.n == 12
        if score.task == "cola":
            assert score.matthews == pytest.approx(metrics["mcc,none"])
        else:
            assert score.accuracy == pytest.approx(100 * metrics["acc,none"])
        assert score.whole == (10_042 if score.task == "hellaswag" else None)


class Letters:
    """A network of eight tokens, each a letter."""

    max_length = 8

    def tok_encode(self, text: str) -> list[str]:
        return list(text)


@pytest.mark.slow
def test_the_longest_answer_of_those_asked_for(manager: Any) -> None:
    items = [{"query": "Q", "choices": ["a", "b", "c", last], "label": 0} for last in ("run fast", "run very fast")]
    task = on_records("hellaswag", items, manager)
    assert [_longest_answer(task, Letters(), limit) for limit in (1, 2, None)] == [9, 14, 14]
