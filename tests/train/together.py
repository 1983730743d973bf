"""Trains small networks of many methods in whatever processes torchrun starts: `torchrun ... together.py METHODS EXECUTIONS OUT`.

Losses and masks of each go into OUT as JSON, by the leader.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from chtexp.compose import compose_run
from chtexp.experiments.work import prepared
from chtexp.processes import Processes, joined

SMALL = ["data=digits", "budget=smoke", "budget.train_limit=161", "model.hidden=[48,40]", "method.sparsity=0.8"]


class Watch:
    """Keeps every record."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def select(self, weights: Any) -> None:
        pass

    def record(self, record: Any) -> None:
        self.records.append({key: value for key, value in record.items() if key != "seconds"})

    def stepped(self, step: int) -> None:
        pass

    def checkpoint(self, state: Any, *, last: bool) -> None:
        if last:
            state()


def outcome(method: str, execution: str, processes: Processes) -> dict[str, Any]:
    """161 examples in batches of 32 leave a batch of one at the end of every epoch: nothing for the other processes."""
    dense = ["method.sparsity=0"] if method == "fc" else []
    run = compose_run([*SMALL, f"method={method}", f"hardware.execution={execution}", *dense])
    _, _, training = prepared(run, processes, lambda: None)
    watch = Watch()
    training.run(watch)
    masks = {name: torch.nonzero(mask.flatten()).flatten().tolist() for name, mask in training.sparsity.masks.items()}
    return {"records": watch.records, "masks": masks}


if __name__ == "__main__":
    methods, executions, out = sys.argv[1].split(","), sys.argv[2].split(","), Path(sys.argv[3])
    with joined(torch.device("cpu")) as group:
        found = {f"{m} {e}": outcome(m, e, group) for m in methods for e in executions}
        everywhere = group.gathered({name: run["masks"] for name, run in found.items()})
        assert all(masks == everywhere[0] for masks in everywhere)
        if group.leads:
            out.write_text(json.dumps(found))
