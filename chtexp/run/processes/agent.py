"""torchrun's agent on one node, for the processes that train a run together: `python -m chtexp.run.processes.agent FOLDER`.

It starts them, and ends all when one dies. It ignores signals: whoever wants the training to stop signals rank 0, and all stop
together. Its standard input stays open as long as the process lives that holds the run's claim.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
import uuid
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from chtexp.run.processes.protocol import Ending, Exit, Orders, now, write_ending, write_exits
from chtexp.system.oom import memory_kills
from chtexp.system.signals import SIGNALS

RENDEZVOUS_SECONDS = 900  # the nodes of a job do not all begin at once
LAST_WORDS_SECONDS = 30  # for the other processes to end, once one is dead


def main(folder: Path) -> int:
    """Start the processes of this node, and wait until all have ended.

    Args:
        folder: of the orders; see `protocol`.

    Returns:
        The exit code: 1 if one of the processes failed, or else 0.
    """
    _ignore_signals()
    threading.Thread(target=_end_with_leader, daemon=True).start()
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what it would log is in FOLDER
    orders = Orders.read(folder)
    hardware, node = orders.run.hardware, int(os.environ.get("SLURM_NODEID", 0)) if orders.endpoint else 0
    several = {
        "rdzv_backend": "static",
        "rdzv_endpoint": orders.endpoint,
        "rdzv_configs": {"rank": node, "timeout": RENDEZVOUS_SECONDS},
    }
    one = {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "local_addr": "127.0.0.1"}
    config = LaunchConfig(
        min_nodes=hardware.nodes,
        max_nodes=hardware.nodes,
        nproc_per_node=hardware.processes,
        run_id=uuid.uuid4().hex if not orders.endpoint else orders.endpoint,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "torchrun")),
        shutdown_timeout=LAST_WORDS_SECONDS,
        **(several if orders.endpoint else one),
    )
    kills_before = memory_kills()
    failed: list[Exit] = []
    succeeded: list[bool] = []

    def launch() -> None:
        try:
            elastic_launch(config, sys.executable)(
                "-P", "-m", "chtexp.run.processes.rank", str(folder), str(os.getpid())
            )
            succeeded.append(True)
        except ChildFailedError as error:
            ran_out = memory_kills() > kills_before
            failed.extend(
                Exit(rank, failure.exitcode, failure.timestamp, ran_out) for rank, failure in error.failures.items()
            )
        except Exception as error:  # the processes could not be started, or did not find each other
            reason = f"{type(error).__name__}: {error}"
            write_ending(folder, Ending(-1 - node, "failure", reason, now(), traceback=traceback.format_exc()))

    # in a thread of its own: in the main thread it would install its own signal handlers
    thread = threading.Thread(target=launch)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failed:
        write_exits(folder, node, failed)
    return 0 if succeeded else 1


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)  # not SIG_IGN, which the ranks would inherit


def _end_with_leader() -> None:
    """Exit when no process holds the run's claim any more: the ranks notice that their parent has died."""
    while os.read(0, 1 << 10):  # not sys.stdin, whose lock would be held at the end of this process
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
