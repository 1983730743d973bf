"""Validation sets of GLUE, SuperGLUE and HellaSwag: small files in their formats, their mistakes, and the real ones."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from chtexp.data.question_sets import QUESTION_SETS, read_questions
from chtexp.errors import UserError


def root_with(folder: Path, file: str, text: str) -> Path:
    (folder / "glue").mkdir(exist_ok=True)
    (folder / "glue" / file).write_text(text)
    return folder


def test_tables_and_objects(tmp_path: Path) -> None:
    assert read_questions("cola", tmp_path) is None
    assert read_questions("cola", None) is None
    assert read_questions("mnli", tmp_path) is None
    root_with(tmp_path, "cola.dev.tsv", 'gj04\t1\t\tHe "sings.\r\ngj04\t0\t*\tSings he\u2028.\n')
    assert read_questions("cola", tmp_path) == [
        {"sentence": 'He "sings.', "label": 1},
        {"sentence": "Sings he\u2028.", "label": 0},
    ]
    head = "index\tquestion\tsentence\tlabel\n"
    root_with(tmp_path, "qnli.dev.tsv", f"{head}0\tWho?\tHe.\tentailment\n1\tWho?\tIt rains.\tnot_entailment\n")
    assert read_questions("qnli", tmp_path) == [
        {"question": "Who?", "sentence": "He.", "label": 0},
        {"question": "Who?", "sentence": "It rains.", "label": 1},
    ]
    root_with(tmp_path, "boolq.jsonl", '{"question": "is it", "passage": "It is.", "answer": true}\n')
    assert read_questions("boolq", tmp_path) == [{"passage": "It is.", "question": "is it", "label": 1}]


WNLI_HEAD = "index\tsentence1\tsentence2\tlabel\n"


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("cola", "gj04\t1\tHe sings.\n", "cola.dev.tsv, line 1: 3 columns, not source, label, mark, sentence"),
        ("cola", "gj04\t2\t\tHe sings.\n", "cola.dev.tsv, line 1: the label is '2', not one of 0, 1"),
        ("wnli", "index\tsentence1\tlabel\n0\tA\t1\n", "wnli.dev.tsv, line 2: no field 'sentence2'; it has index, "),
        ("wnli", WNLI_HEAD, "wnli.dev.tsv holds 0 items, but wnli has 71; fetch the file again"),
        ("wnli", WNLI_HEAD + 72 * "0\tA\tB\t1\n", "wnli.dev.tsv holds 72 items, but wnli has 71"),
        ("cb", "[1]\n", "super_glue_cb.jsonl, line 1: not an object"),
        ("cb", "{\n", "super_glue_cb.jsonl, line 1: not JSON"),
        ("cb", '{"premise": 1, "hypothesis": "B", "label": 0}\n', "line 1: the field 'premise' is not text"),
        ("cb", '{"premise": "A", "hypothesis": "B", "label": -1}\n', "the label is -1, not one of 0, 1, 2"),
        ("hellaswag", '{"query": "A", "choices": [1], "label": 0}\n', "line 1: the field 'choices' is not text"),
        ("boolq", '{"question": "A", "passage": "B", "answer": 1}\n', "the label is 1, not one of False, True"),
    ],
)
def test_a_broken_file_is_one_clear_line(task: str, text: str, message: str, tmp_path: Path) -> None:
    root_with(tmp_path, QUESTION_SETS[task].file, text)
    with pytest.raises(UserError) as raised:
        read_questions(task, tmp_path)
    assert message in str(raised.value)


@pytest.fixture(scope="module")
def real_root() -> Path:
    given = os.environ.get("CHTEXP_DATA")
    if not given or not (Path(given) / "glue").exists():
        pytest.skip("CHTEXP_DATA is not set, or does not hold glue/")
    return Path(given)


# by label, as the data sets are described
COUNTS = {
    "cola": (322, 721), "mrpc": (129, 279), "qnli": (2702, 2761), "rte": (146, 131), "sst2": (428, 444), "wnli": (40, 31),
    "hellaswag": (256, 268, 240, 236), "boolq": (1237, 2033), "cb": (23, 28, 5), "copa": (55, 45),
}  # fmt: skip


@pytest.mark.parametrize("task", QUESTION_SETS)
def test_the_real_ones(task: str, real_root: Path) -> None:
    records = read_questions(task, real_root)
    assert records is not None
    counted = Counter(record["label"] for record in records)
    assert tuple(counted[label] for label in sorted(counted)) == COUNTS[task]
    assert (sum(COUNTS[task]) == QUESTION_SETS[task].items) is (task != "hellaswag")
    assert json.dumps(records)  # plain values
    if task == "hellaswag":
        assert all(len(record["choices"]) == 4 for record in records)
