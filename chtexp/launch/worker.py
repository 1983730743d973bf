"""A process that carries out one run after the other: `python -m chtexp.launch.worker REPLIES PARENT`.

It reads a task a line from its standard input, and writes a Reply a line to the file descriptor REPLIES when it is through
with it. What becomes of a run is in the run's folder. A worker that a run takes down with it (out of memory, SIGKILL) takes
no other run down; one whose parent dies saves its run and stops.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass

from chtexp.system.cores import share_cores
from chtexp.system.signals import Stopped, stop_with_parent


@dataclass(frozen=True)
class Reply:
    """What a worker says when it is through with a task.

    Attributes:
        error: what kept the run from being done, in words; "" if nothing did.
        locked: whether it was that somebody else is at work on the run.
    """

    error: str = ""
    locked: bool = False


def main() -> None:
    """Carry out the tasks that come in, one after the other, until there are no more."""
    stop_with_parent(int(sys.argv[2]))
    share_cores()
    from chtexp.errors import UserError
    from chtexp.launch.sweep_folder import SweepTask
    from chtexp.run.environment import provenance
    from chtexp.run.execute import RunFailed, execute
    from chtexp.store import RunLocked

    provenance()  # of the code as it was loaded, whatever is edited from now on
    with os.fdopen(int(sys.argv[1]), "w") as replies:
        for line in sys.stdin:
            task = SweepTask(**json.loads(line))
            reply = Reply()
            try:
                execute(task.run(), task.command)
            except Stopped as stopped:
                sys.exit(stopped.code)
            except (UserError, RunLocked, RunFailed) as error:
                print(f"chtexp: {error}", file=sys.stderr, flush=True)
                reply = Reply(str(error), locked=isinstance(error, RunLocked))
            replies.write(json.dumps(asdict(reply)) + "\n")
            replies.flush()


if __name__ == "__main__":
    main()
