"""chtexp plan and chtexp table: what a table needs, and what it says."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from chtexp.cli.common import (
    add_config_dir,
    add_results,
    add_table_arguments,
    check_config_dir,
    conditions,
    planned_runs,
    runs_folder,
    subcommand,
)
from chtexp.errors import unknown


def add(commands: Any) -> None:
    """Both commands."""
    plan_ = subcommand(
        commands,
        "plan",
        plan,
        "list a table's runs, their states and their cost",
        "chtexp plan table7 data=mnist budget=cpu",
    )
    plan_.add_argument("--json", action="store_true", help="as JSON")
    plan_.add_argument("--gpu", metavar="A100|H100", help="also what each run takes of such GPUs, by a stated model")
    table_ = subcommand(
        commands,
        "table",
        table,
        "print a table from the results there are",
        "chtexp table table7 --format latex",
    )
    table_.add_argument("--format", default="md", metavar="md|csv|latex|html|json", help="the format (default: md)")
    table_.add_argument("--output", type=Path, help="write to this file instead of the terminal")
    add_results(table_)
    for sub in (plan_, table_):
        add_table_arguments(sub)
        add_config_dir(sub)


def plan(parsed: argparse.Namespace) -> int:
    """What a table needs, what is there, and what the rest would cost."""
    import json

    from chtexp.compose import train_command
    from chtexp.experiments.cost import cost
    from chtexp.experiments.gpu import GPUS, UTILISATION, gpu_cost
    from chtexp.report.formats import lines_of

    if parsed.gpu is not None and parsed.gpu not in GPUS:
        raise unknown("GPU", parsed.gpu, GPUS)
    planned = planned_runs(parsed, parsed.overrides)
    found = conditions([item.run.folder for item in planned])
    on_gpus = {item.run.id: gpu_cost(item.run, GPUS[parsed.gpu]) for item in planned} if parsed.gpu else {}
    rows: list[dict[str, Any]] = []
    for item, condition in zip(planned, found, strict=True):
        estimate = cost(item.run)
        rows.append(
            {
                "row": item.cell.row,
                "column": item.cell.column,
                "seed": item.seed,
                "state": condition.state,
                "id": item.run.id,
                "budget": item.run.budget.name,
                "steps": estimate.steps,
                "parameters": estimate.parameters,
                "nonzeros": estimate.nonzeros,
                "flops_dense": estimate.dense_flops,
                "flops_sparse": estimate.sparse_flops,
                "command": train_command(item.overrides, parsed.config_dir),
            }
        )
        if parsed.gpu:
            taken = on_gpus[item.run.id]
            rows[-1] |= {"gpu": parsed.gpu, "gpu_hours": taken.hours, "gpu_gigabytes": taken.gigabytes}
    if parsed.json:
        print(json.dumps(rows, indent=2))
        return 0
    heads = [
        "method",
        "data",
        "seed",
        "state",
        "id",
        "steps",
        "parameters",
        "non-zeros",
        "FLOPs dense",
        "FLOPs sparse",
    ]
    shown = [
        [r["row"], r["column"], r["seed"], r["state"], r["id"], r["steps"], f"{r['parameters']:,}", f"{r['nonzeros']:,}",
         f"{r['flops_dense']:.2e}", f"{r['flops_sparse']:.2e}"]
        for r in rows
    ]  # fmt: skip
    if parsed.gpu:
        heads += [f"{parsed.gpu} hours", "GB"]
        shown = [
            [*cells, f"{row['gpu_hours']:,.2f}", f"{row['gpu_gigabytes']:.1f}"]
            for cells, row in zip(shown, rows, strict=True)
        ]
    print(f"{parsed.name} at budget {' and '.join(sorted({item.run.budget.name for item in planned}))}")
    print(lines_of(shown, heads))
    counts = {
        state: sum(row["state"] == state for row in rows) for state in dict.fromkeys(row["state"] for row in rows)
    }
    print(f"{len(rows)} runs: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    left = [row for row in rows if row["state"] != "done"]
    print(
        f"still to train: {sum(row['flops_dense'] for row in left):.2e} FLOPs dense, "
        f"{sum(row['flops_sparse'] for row in left):.2e} if the sparsity is executed (training, linear layers)"
    )
    if parsed.gpu:
        hours = sum(row["gpu_hours"] for row in left)
        print(
            f"{hours:,.1f} {parsed.gpu} hours: dense FLOPs at {UTILISATION:.0%} of the peak. GB of one GPU: weights, gradients, "
            "optimizer, masks and what one forward pass keeps (task.at_once, task.batch_tokens)"
        )
    return 0


def table(parsed: argparse.Namespace) -> int:
    """A table, from results alone."""
    from chtexp.planning import finished_table
    from chtexp.report import FORMATS, render

    if parsed.format not in FORMATS:
        raise unknown("format", parsed.format, FORMATS)
    check_config_dir(parsed.config_dir)
    found = finished_table(parsed.name, parsed.overrides, parsed.config_dir, parsed.results, parsed.accept)
    text = render(found, parsed.format)
    if parsed.output:
        parsed.output.parent.mkdir(parents=True, exist_ok=True)
        parsed.output.write_text(text)
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    if not any(row.n for row in found.rows):
        print(f"chtexp: {_nothing_done(parsed)}", file=sys.stderr)
    return 0


def _nothing_done(parsed: argparse.Namespace) -> str:
    """Where was looked in vain for runs of a table, and what to type to see which it wants."""
    paths = [override for override in parsed.overrides if override.startswith("paths.")]
    runs = runs_folder(paths, parsed.config_dir, required=False).resolve()
    where = f", neither in {runs} nor in {', '.join(map(str, parsed.results))}" if parsed.results else f" in {runs}"
    own = ["--config-dir", str(parsed.config_dir)] if parsed.config_dir else []
    wanted = shlex.join(["chtexp", "plan", parsed.name, *parsed.overrides, *own])
    return f"no run of this table is done{where}; see which it wants: {wanted}"
