"""torchrun's agent on one node, for the processes that train a run together: `python -m chtexp.experiments.agent FOLDER`.

It starts them, sees when one dies, and ends the others then. Signals are not for it: whoever wants the training to stop
tells rank 0, and all stop together. Its standard input is open as long as the process lives that holds the run's claim.
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

from chtexp.experiments.orders import Ending, Exit, Orders, now, write_ending, write_exits
from chtexp.memory_kills import memory_kills
from chtexp.stopping import SIGNALS

RENDEZVOUS_SECONDS = 900  # nodes of one job do not all begin at once
LAST_WORDS_SECONDS = 30  # for the others, once one process is dead


def main(folder: Path) -> int:
    """Until all processes of this node have ended; 1 if one of them failed."""
    _ignore_signals()
    threading.Thread(target=_end_with_leader, daemon=True).start()
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what it would say is in FOLDER
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
    through: list[bool] = []

    def launch() -> None:
        try:
            elastic_launch(config, sys.executable)("-P", "-m", "chtexp.experiments.rank", str(folder), str(os.getpid()))
            through.append(True)
        except ChildFailedError as error:
            ran_out = memory_kills() > kills_before
            failed.extend(
                Exit(rank, failure.exitcode, failure.timestamp, ran_out) for rank, failure in error.failures.items()
            )
        except Exception as error:  # the processes could not be started, or did not find each other
            reason = f"{type(error).__name__}: {error}"
            write_ending(folder, Ending(-1 - node, "failure", reason, now(), traceback=traceback.format_exc()))

    # in a thread of its own, because in the main one it would take the signals for itself
    thread = threading.Thread(target=launch)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failed:
        write_exits(folder, node, failed)
    return 0 if through else 1


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)  # no SIG_IGN, which the ranks would inherit


def _end_with_leader() -> None:
    """When nobody holds the run's claim any more, the ranks are told by the death of this process."""
    while os.read(0, 1 << 10):  # not by sys.stdin, whose lock would be held at the end of this process
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
