"""chtexp zeroshot: a trained language model answers questions it was never trained for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chtexp.cli.common import add_trained_run, positive, subcommand, wanted_device

EXAMPLE = "chtexp zeroshot runs/webmix-chtss-cpu-160fb85c6a/seed-0 --tasks cola,rte,copa"
HEADS = ("task", "n", "accuracy %", "Matthews", "labels %", "answered %")


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands, "zeroshot", zeroshot, "zero-shot accuracy and Matthews correlation of a language model", EXAMPLE
    )
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


def zeroshot(parsed: argparse.Namespace) -> int:
    """Evaluate tasks that are not evaluated yet, keep the scores of each in the run's folder at once, and print those of all."""
    import os

    from chtexp.experiments.harness import harness_version
    from chtexp.experiments.writer import Writer
    from chtexp.experiments.zeroshot import PAPER_TASKS, Lacking, as_record, evaluate_zero_shot
    from chtexp.store.evaluations import FILE, finished, newest, scores_in
    from chtexp.store.files import write_json

    root = parsed.data or (Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None)
    tasks = list(dict.fromkeys(parsed.tasks.split(","))) if parsed.tasks else list(PAPER_TASKS)
    writer, path = Writer(parsed.folder, wanted_device(parsed.device)), parsed.folder / FILE
    run = {"run": writer.run.id, "seed": writer.run.seed}
    former = {} if parsed.again else finished(scores_in(parsed.folder), tasks, parsed.limit, harness_version())
    records = dict(former)
    missing = [task for task in tasks if task not in former]
    said, lacking = [], []
    for score in evaluate_zero_shot(writer, missing, root, limit=parsed.limit, batch=parsed.batch, say=_say):
        if isinstance(score, Lacking):
            lacking.append(score)
            continue
        record = as_record(score, parsed.limit)
        kept = newest(scores_in(parsed.folder), [record])
        write_json(path, {**run, "scores": kept})
        records[score.task] = record
        if record not in kept:
            said.append(f"{score.task}: not kept, since a score of more items is there")
    everything = [records[task] for task in tasks if task in records]
    print(json.dumps({**run, "scores": everything}, indent=2) if parsed.json else _table(everything))
    said += [_what_is_a_part(record) for record in everything if record.get("whole")]
    said += [_what_was_cut(record, writer.run.data.sequence_length) for record in everything if record["cut"]]
    if former:
        said.append(f"evaluated before: {', '.join(former)}; --again evaluates anew")
    said += [f"written: {path}"] if records else []
    for line in said:
        print(line, file=sys.stderr if parsed.json else sys.stdout)
    for task, reason in lacking:
        _say(f"{task}: not evaluated: {reason}")
    return 1 if lacking else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    from chtexp.report.formats import lines_of

    rows = [
        [r["task"], r["n"], f"{r['accuracy']:.2f} ± {r['accuracy_error']:.2f}",
         f"{r['matthews']:.3f} ± {r['matthews_error']:.3f}", _shown(r["shares"]), _shown(r["answered"])]
        for r in records
    ]  # fmt: skip
    return lines_of(rows, list(HEADS))


def _shown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {share:.1f}" for label, share in shares.items())


def _what_is_a_part(record: Mapping[str, Any]) -> str:
    return f"{record['task']}: {record['n']} of the {record['whole']} items of the task: a part, and marked as one in tables"


def _what_was_cut(record: Mapping[str, Any], context: int) -> str:
    which = (
        f"{record['task']}: {record['cut']} of {record['n']} items are longer than the {context} tokens of the network"
    )
    return f"{which}: it saw their ends alone"
