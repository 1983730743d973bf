"""chtexp zeroshot: a trained language model answers questions it was never trained for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from chtexp.cli.common import add_trained_run, positive, subcommand, wanted_device

EXAMPLE = "chtexp zeroshot runs/webmix-chtss-cpu-160fb85c6a/seed-0 --tasks rte_local,reviews_local"
HEADS = ("task", "n", "accuracy %", "Matthews", "labels %", "answered %")


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands, "zeroshot", zeroshot, "zero-shot accuracy and Matthews correlation of a language model", EXAMPLE
    )
    add_trained_run(sub)
    sub.add_argument(
        "--tasks",
        help="by commas, of EleutherAI's harness; rte_local, reviews_local need no network (default: the paper's twelve)",
    )
    sub.add_argument("--limit", type=positive, help="the first so many items of each task")
    sub.add_argument("--batch", type=positive, default=32, help="items at once (default: %(default)s)")
    sub.add_argument("--data", type=Path, help="root of the data sets (default: CHTEXP_DATA)")
    sub.add_argument("--json", action="store_true", help="as JSON")


def zeroshot(parsed: argparse.Namespace) -> int:
    """Evaluate, keep the scores in the run's folder, and print them."""
    import os

    from chtexp.experiments.writer import Writer
    from chtexp.experiments.zeroshot import PAPER_TASKS, as_records, evaluate_zero_shot
    from chtexp.report.formats import lines_of
    from chtexp.store.evaluations import FILE, newest, scores_in
    from chtexp.store.files import write_json

    root = parsed.data or (Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None)
    tasks = parsed.tasks.split(",") if parsed.tasks else list(PAPER_TASKS)
    writer = Writer(parsed.folder, wanted_device(parsed.device))
    scores = evaluate_zero_shot(writer, tasks, root, limit=parsed.limit, batch=parsed.batch)
    records = as_records(scores, parsed.limit)
    kept = newest(scores_in(parsed.folder), records)
    write_json(parsed.folder / FILE, {"run": writer.run.id, "seed": writer.run.seed, "scores": kept})
    if parsed.json:
        print(json.dumps({"run": writer.run.id, "seed": writer.run.seed, "scores": records}, indent=2))
        return 0
    rows = [
        [s.task, s.n, f"{s.accuracy:.2f} ± {s.accuracy_error:.2f}", f"{s.matthews:.3f} ± {s.matthews_error:.3f}",
         _shown(s.shares), _shown(s.answered)]
        for s in scores
    ]  # fmt: skip
    print(lines_of(rows, list(HEADS)))
    print(f"written: {parsed.folder / FILE}")
    return 0


def _shown(shares: dict[str, float]) -> str:
    return " / ".join(f"{share:.1f}" for share in shares.values())
