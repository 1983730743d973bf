"""Trains small networks in whatever processes torchrun starts: `torchrun ... together.py CASES OUT`.

CASES: the whole configuration of each, by its name, as JSON. Losses and masks of each go into OUT as JSON, by the leader.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from chtexp.config.run import describe_run
from chtexp.distributed.group import Processes, joined
from chtexp.run.work import prepared


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


def outcome(config: dict[str, Any], processes: Processes) -> dict[str, Any]:
    """Of one training."""
    run = describe_run(config)
    _, _, training = prepared(run, processes, lambda: None)
    watch = Watch()
    training.run(watch)
    masks = {name: torch.nonzero(mask.flatten()).flatten().tolist() for name, mask in training.sparsity.masks.items()}
    return {"records": watch.records, "masks": masks}


if __name__ == "__main__":
    cases, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    with joined(torch.device("cpu")) as group:
        found = {name: outcome(config, group) for name, config in cases.items()}
        everywhere = group.all_gather({name: run["masks"] for name, run in found.items()})
        assert all(masks == everywhere[0] for masks in everywhere)
        if group.leads:
            out.write_text(json.dumps(found))
