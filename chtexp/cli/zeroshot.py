"""chtexp zeroshot: a trained language model answers questions it was never trained for."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chtexp.cli.common import positive, said_if_slow
from chtexp.cli.trained import add_trained_run, writer_of
from chtexp.report.formats import lines_of
from chtexp.report.number_format import with_error
from chtexp.store import Damaged
from chtexp.store.evaluations import FILE, finished, newest, scores_in, write_scores
from chtexp.store.files import set_aside
from chtexp.store.records import Score
from chtexp.system.locks import locked_if_possible

if TYPE_CHECKING:
    from chtexp.trained.writer import Writer


EXAMPLE = "chtexp zeroshot runs/webmix-chtss-cpu-160fb85c6a/seed-0 --tasks cola,rte,copa"
HEADS = ("task", "n", "accuracy %", "Matthews", "labels %", "answered %")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    add_trained_run(sub)
    sub.add_argument(
        "--tasks",
        help="by commas, of EleutherAI's harness, or rte_local, reviews_local (default: the paper's twelve); "
        "what lies in glue/ or zeroshot/ below the data root needs no network",
    )
    sub.add_argument("--limit", type=positive, help="the first so many items of each task")
    sub.add_argument("--batch", type=positive, default=32, help="items at once (default: %(default)s)")
    sub.add_argument("--data", type=Path, help="root of the data sets (default: CHTEXP_DATA)")
    sub.add_argument("--again", action="store_true", help="also tasks whose scores are there already")
    sub.add_argument("--json", action="store_true", help="as JSON")


def run(parsed: argparse.Namespace) -> int:
    """Evaluate tasks that are not evaluated yet, keep the scores of each in the run's folder at once, and print those of all."""
    writer, path = writer_of(parsed), parsed.folder / FILE
    with said_if_slow("loading the evaluation harness"):
        from chtexp.trained.harness import harness_version
        from chtexp.trained.zeroshot import PAPER_TASKS, Lacking, as_record, evaluate_zero_shot

    root = parsed.data or (Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None)
    tasks = list(dict.fromkeys(parsed.tasks.split(","))) if parsed.tasks else list(PAPER_TASKS)
    run = {"run": writer.run.id, "seed": writer.run.seed}
    there = _readable(writer, path)
    former = {} if parsed.again else finished(there, tasks, parsed.limit, harness_version())
    records = dict(former)
    missing = [task for task in tasks if task not in former]
    said, lacking = [], []
    for score in evaluate_zero_shot(writer, missing, root, limit=parsed.limit, batch=parsed.batch, say=_say):
        if isinstance(score, Lacking):
            lacking.append(score)
            continue
        record = Score.of(as_record(score, parsed.limit))
        with locked_if_possible(parsed.folder / f".{FILE}.lock"):  # another evaluation may be at work on other tasks
            kept = newest(_readable(writer, path), [record])
            write_scores(parsed.folder, writer.run.id, writer.run.seed, kept)
        records[score.task] = record
        if record not in kept:
            said.append(f"{score.task}: not kept, since a score of more items is there")
    everything = [records[task] for task in tasks if task in records]
    shown = {**run, "scores": [record.plain for record in everything]}
    print(json.dumps(shown, indent=2) if parsed.json else _table(everything))
    said += [_what_is_a_part(record) for record in everything if record.whole]
    said += [_what_was_cut(record, writer.longest) for record in everything if record.cut]
    if former:
        said.append(f"evaluated before: {', '.join(former)}; --again evaluates anew")
    said += [f"written: {path}"] if records else []
    for line in said:
        print(line, file=sys.stderr if parsed.json else sys.stdout)
    for task, reason in lacking:
        _say(f"{task}: not evaluated: {reason}")
    return 1 if lacking else 0


def _readable(writer: Writer, path: Path) -> list[Score]:
    """The scores of the run that are there; damaged ones, and those of another run, are set aside."""
    try:
        return scores_in(path.parent, writer.run.id, writer.run.seed)
    except Damaged as damage:
        _say(f"chtexp: {damage}; it is kept in {set_aside(path)}")
        return []


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(records: Sequence[Score]) -> str:
    rows = [
        [r.task, r.n, with_error(r.accuracy, r.accuracy_error, 2), with_error(r.matthews, r.matthews_error, 3),
         _shown(r.shares), _shown(r.answered)]
        for r in records
    ]  # fmt: skip
    return lines_of(rows, list(HEADS))


def _shown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {share:.1f}" for label, share in shares.items())


def _what_is_a_part(record: Score) -> str:
    return f"{record.task}: {record.n} of the {record.whole} items of the task: a part, and marked as one in tables"


def _what_was_cut(record: Score, context: int) -> str:
    which = f"{record.task}: {record.cut} of {record.n} items are longer than the {context} tokens of the network"
    return f"{which}: it saw their ends alone"
