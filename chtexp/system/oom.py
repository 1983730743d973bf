"""How many processes the system has killed for want of memory: what tells such a kill from any other SIGKILL.

A control group counts the kills among its own processes, whether its own limit or the whole machine was out of memory;
the machine's counter knows of everybody's. Both only grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self/cgroup")
MACHINE = Path("/proc/vmstat")


def memory_kills() -> int:
    """Count the processes that the system has killed for want of memory.

    Returns:
        Kills in this process's control group (its children are in it, unless they were moved), or else on this machine; 0 where
        neither is counted.
    """
    for path in (*_of_group(), MACHINE):
        try:
            counted = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if counted:
            return int(counted[1])
    return 0


def _of_group() -> Iterator[Path]:
    """Where the group's count may be; lines read `0::/GROUP` (version 2) or `4:memory:/GROUP` (version 1)."""
    try:
        lines = PROCESS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield CONTROL_GROUPS / group.lstrip("/") / "memory.events"
        elif "memory" in controllers.split(","):
            yield CONTROL_GROUPS / "memory" / group.lstrip("/") / "memory.oom_control"
