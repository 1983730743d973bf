"""Validation sets of GLUE, SuperGLUE and HellaSwag that lie on this machine, as the data sets of the Hugging Face hub have them.

A record has the fields and the label that the hub's has, so that a task of EleutherAI's harness asks it the same question.

Sources: A. Wang et al., "GLUE", ICLR 2019 (nyu-mll/glue); "SuperGLUE", NeurIPS 2019 (aps/super_glue); R. Zellers et al.,
"HellaSwag", ACL 2019 (Rowan/hellaswag).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chtexp.data.lines import lines
from chtexp.errors import UserError

FOLDER = "glue"
Record = Mapping[str, object]


@dataclass(frozen=True)
class QuestionSet:
    """One file, `.jsonl` with an object on each line, or `.tsv` with a record on each line.

    Attributes:
        file: its name.
        items: of the whole validation set; a file may hold a part.
        fields: texts that a question is made of; `choices` is a list of them.
        labels: how many, 0, 1, ...
        called: how the file calls the labels, where that is not by number.
        label: the field of the label.
        header: the names of a `.tsv`'s columns, where its first line does not say.
    """

    file: str
    items: int
    fields: tuple[str, ...]
    labels: int = 2
    called: tuple[object, ...] | None = None
    label: str = "label"
    header: tuple[str, ...] | None = None


PAIR = ("sentence1", "sentence2")
QUESTION_SETS = {
    "cola": QuestionSet("cola.dev.tsv", 1_043, ("sentence",), header=("source", "label", "mark", "sentence")),
    "mrpc": QuestionSet("glue_mrpc.jsonl", 408, PAIR),
    "qnli": QuestionSet("qnli.dev.tsv", 5_463, ("question", "sentence"), called=("entailment", "not_entailment")),
    "rte": QuestionSet("glue_rte.jsonl", 277, PAIR),
    "sst2": QuestionSet("glue_sst2.jsonl", 872, ("sentence",)),
    "wnli": QuestionSet("wnli.dev.tsv", 71, PAIR),
    "hellaswag": QuestionSet("hellaswag_1000.jsonl", 10_042, ("query", "choices"), labels=4),
    "boolq": QuestionSet("boolq.jsonl", 3_270, ("passage", "question"), called=(False, True), label="answer"),
    "cb": QuestionSet("super_glue_cb.jsonl", 56, ("premise", "hypothesis"), labels=3),
    "copa": QuestionSet("super_glue_copa.jsonl", 100, ("premise", "choice1", "choice2", "question")),
}


def read_questions(task: str, root: Path | None) -> list[Record] | None:
    """Read the records of a task, in the file's order.

    Args:
        task: its name.
        root: of the data.

    Returns:
        {field: text, "label": int} of every item; None if the task is none of QUESTION_SETS or its file is not there.

    Raises:
        UserError: a file that is not what it should be; the message names the line.
    """
    if task not in QUESTION_SETS or root is None:
        return None
    described = QUESTION_SETS[task]
    path = root.expanduser() / FOLDER / described.file
    if not path.exists():
        return None
    rows = _objects(path) if path.suffix == ".jsonl" else _rows(path, described.header)
    records = [_record(described, row, f"{path}, line {number}") for number, row in rows]
    if not records or len(records) > described.items:
        raise UserError(f"{path} holds {len(records)} items, but {task} has {described.items}; fetch the file again")
    return records


def _objects(path: Path) -> Iterator[tuple[int, Record]]:
    for number, line in lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error}); a line must hold one object") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: not an object")
        yield number, row


def _rows(path: Path, header: Sequence[str] | None) -> Iterator[tuple[int, Record]]:
    """Quotation marks are part of the text."""
    for number, line in lines(path):
        cells = line.split("\t")
        if header is None:
            header = cells
            continue
        if len(cells) != len(header):
            raise UserError(f"{path}, line {number}: {len(cells)} columns, not {', '.join(header)}")
        yield number, dict(zip(header, cells, strict=True))


def _record(described: QuestionSet, row: Record, place: str) -> Record:
    """Texts and label of an item, checked."""
    for field in (*described.fields, described.label):
        if field not in row:
            raise UserError(f"{place}: no field '{field}'; it has {', '.join(row) or 'none'}")
    texts = {field: row[field] for field in described.fields}
    for field, text in texts.items():
        if not all(
            isinstance(part, str) for part in (text if field == "choices" and isinstance(text, list) else [text])
        ):
            raise UserError(f"{place}: the field '{field}' is not text")
    called = described.called or tuple(range(described.labels))
    said = row[described.label]
    known = {str(name): number for number, name in enumerate(called)}
    if str(said) not in known:
        raise UserError(f"{place}: the label is {said!r}, not one of {', '.join(known)}")
    return {**texts, "label": known[str(said)]}
