"""One of the processes that train a run together, started by torchrun: `python -m chtexp.run.processes.rank FOLDER PARENT`."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path

from chtexp.store.damage import NoUsableCheckpoint
from chtexp.system.cores import share_cores
from chtexp.system.signals import Stopped, StopSignals, stop_with_parent

LOOK_SECONDS = 1.0  # between two checks that the parent is alive
LAST_WORDS_SECONDS = 120  # to save a checkpoint once the parent is dead


def main(folder: Path, parent: int) -> int:
    """Train this process's share of the run.

    Args:
        folder: of the orders; see `protocol`.
        parent: the number of the agent's process.

    Returns:
        The exit code: 0 if the training finished or stopped as a signal asked it to, 2 after a UserError, 1 after a failure.
    """
    with StopSignals().heard() as signals:  # before torch is loaded, which takes seconds
        stop_with_parent(parent)
        share_cores()
        found = threading.Event()
        threading.Thread(target=_end_with_parent, args=(parent, found), daemon=True).start()
        return _train(folder, signals, found)


def _end_with_parent(parent: int, found: threading.Event) -> None:
    """Exit soon after the parent has died: a process that waits in torch for others, which may be gone, handles no signal.

    found: is set once the processes have found each other, for which they need the parent. From then on they can save the run.
    """
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    if found.is_set():
        time.sleep(LAST_WORDS_SECONDS)
    os._exit(1)


def _train(folder: Path, signals: StopSignals, found: threading.Event) -> int:
    from chtexp.build.assembly import device_of
    from chtexp.distributed.group import joined
    from chtexp.errors import MISTAKE, UserError
    from chtexp.run.processes.protocol import Ending, Orders, now, write_ending
    from chtexp.run.run_log import RunLog
    from chtexp.run.work import Follower, Work
    from chtexp.store.starts import SignsOfLife, Start

    rank = int(os.environ["RANK"])
    if rank == 0:
        (folder / "rank-0.pid").write_text(f"{os.getpid()}\n")
    work: Work | Follower | None = None
    try:
        orders = Orders.read(folder)
        run = orders.run
        with joined(device_of(run)) as processes:
            found.set()
            if processes.leads:
                start = Start(folder.parent, int(folder.name.partition(".")[0]))
                log = RunLog(run.folder, start, quiet=run.logger.quiet)
                work = Work(run, orders.command, signals, SignsOfLife(start), log, processes)
            else:
                work = Follower(run, signals, processes)
            try:
                work.train()
            finally:
                work.close()
        ending = Ending(rank, "done", "", now(), work.step)
    except Stopped as stopped:
        ending = Ending(rank, "stopped", stopped.reason, now(), work.step if work else None, stopped.signal)
    except UserError as error:
        kind = "mistake" if error.exit_code == MISTAKE else "unavailable"
        kind = "no checkpoint" if isinstance(error, NoUsableCheckpoint) else kind
        ending = Ending(rank, kind, str(error), now(), traceback=traceback.format_exc())
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        ending = Ending(rank, "failure", reason, now(), work.step if work else None, traceback=traceback.format_exc())
    if rank == 0 or ending.kind != "done":
        write_ending(folder, ending)
    return {"done": 0, "stopped": 0, "mistake": 2, "unavailable": 1, "no checkpoint": 1, "failure": 1}[ending.kind]


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for processes that are gone must not delay the exit
