"""chtexp plan: what a table needs, what is there of it, and what the rest would cost."""

from __future__ import annotations

import argparse
import json
from typing import Any

from chtexp.cli.common import add_config_dir, add_table_arguments, conditions, planned_runs
from chtexp.config.compose import train_command
from chtexp.cost.gpu import GPUS, UTILISATION, gpu_cost
from chtexp.errors import unknown
from chtexp.report.formats import lines_of

EXAMPLE = "chtexp plan table7 data=mnist budget=cpu"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.add_argument("--json", action="store_true", help="as JSON")
    sub.add_argument("--gpu", metavar="A100|H100", help="also what each run takes of such GPUs, by a stated model")
    add_table_arguments(sub)
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """What a table needs, what is there, and what the rest would cost."""
    if parsed.gpu is not None and parsed.gpu not in GPUS:
        raise unknown("GPU", parsed.gpu, GPUS)
    planned = planned_runs(parsed, parsed.overrides)
    found = conditions([item.folder for item in planned])
    on_gpus = {item.id: gpu_cost(item.run, GPUS[parsed.gpu]) for item in planned} if parsed.gpu else {}
    rows: list[dict[str, Any]] = []
    for item, condition in zip(planned, found, strict=True):
        estimate = item.cost
        rows.append(
            {
                "row": item.cell.row,
                "column": item.cell.column,
                "seed": item.seed,
                "state": condition.state,
                "id": item.id,
                "budget": item.budget,
                "steps": estimate.steps,
                "parameters": estimate.parameters,
                "nonzeros": estimate.nonzeros,
                "flops_dense": estimate.dense_flops,
                "flops_sparse": estimate.sparse_flops,
                "command": train_command(item.overrides, parsed.config_dir),
            }
        )
        if parsed.gpu:
            taken = on_gpus[item.id]
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
    print(f"{parsed.name} at budget {' and '.join(sorted({item.budget for item in planned}))}")
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
