"""The files that the launcher and the processes that train a run together exchange, below the run's `starts/`.

0003.processes/orders.json   the run's whole configuration, and what was typed
               rank-0.pid    the number of rank 0's process, once it listens to signals
               rank-1.json   how a rank ended; ranks other than 0 write it only if they did not finish
               agent-0.json  the processes of a node that ended with an exit code other than 0
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from chtexp.config.run import Run, describe_run
from chtexp.store.files import read_as, write_json
from chtexp.store.starts import Start

SUFFIX = ".processes"


@dataclass(frozen=True)
class Orders:
    """What the ranks of one start are to do.

    Attributes:
        config: the run's whole configuration.
        command: what to type to train the run again.
        endpoint: host:port of the first of several nodes; empty on a single node.
    """

    config: Mapping[str, object]
    command: str
    endpoint: str

    @classmethod
    def read(cls, folder: Path) -> Orders:
        """Read the orders in their folder."""
        return read_as(folder / "orders.json", cls)

    def write(self, folder: Path) -> None:
        """Write the orders into their folder."""
        write_json(folder / "orders.json", asdict(self))

    @property
    def run(self) -> Run:
        """The run to train."""
        return describe_run(self.config)


@dataclass(frozen=True)
class Ending:
    """How a rank ended.

    Attributes:
        rank: its number; -1 - n is the agent of node n.
        kind: `done` (written by rank 0 alone), `stopped`, `mistake` (a UserError), `unavailable` (one that is nobody's
            mistake), `no checkpoint` (one of those: none can be used) or `failure`.
        reason: why, in one line; empty if it is done.
        at: when, in seconds since the epoch.
        step: optimizer steps so far; None before the training was prepared.
        stop: the number of the signal that asked it to stop; 0 if there was none.
        traceback: of an error.
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
    """A process that ended with an exit code other than 0, as its node's agent saw it.

    Attributes:
        rank: its rank.
        code: the exit code; negative: the number of the signal that killed it.
        at: when, in seconds since the epoch.
        memory_ran_out: whether the node's system killed processes during the training because memory ran out.
    """

    rank: int
    code: int
    at: float
    memory_ran_out: bool = False


def orders_folder(start: Start) -> Path:
    """Return the folder that the processes of a start use."""
    return start.folder / f"{start.number:04d}{SUFFIX}"


def write_ending(folder: Path, ending: Ending) -> None:
    """Write how a rank ended; on a full disk, print the reason instead.

    Args:
        folder: of the orders.
        ending: how it ended.
    """
    try:
        write_json(folder / f"rank-{ending.rank}.json", asdict(ending))
    except OSError:
        print(f"chtexp: rank {ending.rank}: {ending.reason}", file=sys.stderr, flush=True)


def endings(folder: Path) -> list[Ending]:
    """Read how the ranks ended, of all that wrote it, the earliest first."""
    found = [read_as(path, Ending) for path in folder.glob("rank-*.json")]
    return sorted(found, key=lambda ending: ending.at)


def write_exits(folder: Path, node: int, exits: list[Exit]) -> None:
    """Write which processes of a node ended with an exit code other than 0.

    Args:
        folder: of the orders.
        node: the node's number, from 0.
        exits: of its processes.
    """
    write_json(folder / f"agent-{node}.json", [asdict(exit_) for exit_ in exits])


def exits(folder: Path) -> list[Exit]:
    """Read which processes ended with an exit code other than 0, of all nodes, the earliest first."""
    found = [exit_ for path in folder.glob("agent-*.json") for exit_ in read_as(path, list[Exit])]
    return sorted(found, key=lambda exit_: exit_.at)


def now() -> float:
    """Return the time of an ending, in seconds since the epoch."""
    return time.time()
