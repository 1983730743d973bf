"""What the processes that train one run together are told, and what they leave word of: files below the run's `starts/`.

0003.processes/orders.json   the run's whole configuration, and what was typed
               rank-0.pid    once rank 0 listens to signals
               rank-1.json   how a rank ended that was not done
               agent-0.json  the ranks of a node whose processes ended otherwise, with their exit codes
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chtexp.experiments.description import Run, describe_run
from chtexp.store.files import read_json, write_json
from chtexp.store.starts import Start

SUFFIX = ".processes"


@dataclass(frozen=True)
class Orders:
    """For the ranks of one start. endpoint: host:port of the first of several nodes, empty on one."""

    config: Mapping[str, Any]
    command: str
    endpoint: str

    @classmethod
    def read(cls, folder: Path) -> Orders:
        return cls(**read_json(folder / "orders.json"))

    def write(self, folder: Path) -> None:
        write_json(folder / "orders.json", asdict(self))

    @property
    def run(self) -> Run:
        return describe_run(self.config)


@dataclass(frozen=True)
class Ending:
    """How a rank ended. kind: `done` (rank 0 alone says so), `stopped`, `mistake` (a UserError) or `failure`.

    rank: -1 - n is the agent of node n. stop: the signal's number. at: epoch seconds.
    """

    rank: int
    kind: str
    reason: str
    at: float
    step: int | None = None
    stop: int = 0
    traceback: str = ""


@dataclass(frozen=True)
class Exit:
    """A process that ended with a code that is not 0, as its node's agent saw it; negative: the signal that killed it.

    memory_ran_out: whether its node killed processes for want of memory meanwhile.
    """

    rank: int
    code: int
    at: float
    memory_ran_out: bool = False


def orders_folder(start: Start) -> Path:
    """Where the orders of a start are."""
    return start.folder / f"{start.number:04d}{SUFFIX}"


def write_ending(folder: Path, ending: Ending) -> None:
    """Leave word; on a full disk, at least on the terminal."""
    try:
        write_json(folder / f"rank-{ending.rank}.json", asdict(ending))
    except OSError:
        print(f"chtexp: rank {ending.rank}: {ending.reason}", file=sys.stderr, flush=True)


def endings(folder: Path) -> list[Ending]:
    """Of all ranks that left word, the earliest first."""
    found = [Ending(**read_json(path)) for path in folder.glob("rank-*.json")]
    return sorted(found, key=lambda ending: ending.at)


def write_exits(folder: Path, node: int, exits: list[Exit]) -> None:
    write_json(folder / f"agent-{node}.json", [asdict(exit_) for exit_ in exits])


def exits(folder: Path) -> list[Exit]:
    """Of all nodes, the earliest first."""
    found = [Exit(**values) for path in folder.glob("agent-*.json") for values in read_json(path)]
    return sorted(found, key=lambda exit_: exit_.at)


def now() -> float:
    """The time of an ending."""
    return time.time()
