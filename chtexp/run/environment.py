"""The environment of a run: versions, commit, hardware, threads."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import torch

import chtexp

LIBRARIES = ("torch", "torchvision", "numpy", "numba", "hydra-core", "omegaconf", "pydantic")

PROVENANCE = "provenance.json"  # beside a copy of the package: where it was copied from
NOT_RESULTS = ("--", ".", ":!results")  # results of runs do not change other runs


class Provenance(TypedDict):
    """Where code comes from.

    Attributes:
        commit: its hash; None outside a checkout.
        uncommitted_changes: whether there are any; None outside a checkout.
        diff: these changes, as git shows them.
    """

    commit: str | None
    uncommitted_changes: bool | None
    diff: str


class Surroundings(TypedDict):
    """Everything about a process that could change a number: code, versions, hardware, threads. See `chtexp.store.records`."""

    chtexp: str
    commit: str | None
    uncommitted_changes: bool | None
    python: str
    libraries: dict[str, str]
    system: str
    host: str
    cpu: str
    cores: int | None
    threads: int
    processes: int
    gpus: list[str]


def environment(processes: int = 1) -> Surroundings:
    """Describe this process.

    Args:
        processes: the number of processes that train together.

    Returns:
        JSON values by name.
    """
    origin = provenance()
    return {
        "chtexp": chtexp.__version__,
        "commit": origin["commit"],
        "uncommitted_changes": origin["uncommitted_changes"],
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "system": platform.platform(),
        "host": socket.gethostname(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def cpu_name() -> str:
    """Return the name of the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


@cache
def provenance() -> Provenance:
    """Find out where the code of this process comes from; the answer stays the same while the process lives.

    New files count as changes, and files in results/ do not. For a copy that a sweep made, the answer is what was written
    down when it was copied.

    Returns:
        The commit and the uncommitted changes.
    """
    copied = Path(chtexp.__file__).parents[1] / PROVENANCE
    if copied.exists():
        origin: Provenance = json.loads(copied.read_text())
        return origin
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "uncommitted_changes": None, "diff": ""}
    new = (_git("ls-files", "--others", "--exclude-standard", "chtexp", "conf") or "").splitlines()
    parts = [_git("diff", "--no-index", "/dev/null", name, fails=True) for name in new]
    diff = "".join(part or "" for part in (_git("diff", "HEAD", *NOT_RESULTS), *parts))
    return {"commit": commit.strip(), "uncommitted_changes": bool(diff), "diff": diff}


def _git(*arguments: str, fails: bool = False) -> str | None:
    """What git prints about the project's own checkout; None where there is none. fails: whether any exit code is accepted."""
    root = Path(chtexp.__file__).parents[1]
    if not (root / ".git").exists():
        return None  # an installed wheel may lie in somebody else's repository
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if fails or done.returncode == 0 else None
