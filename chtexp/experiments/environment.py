"""Where and by what a run was made: versions, commit, hardware, threads, command."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import chtexp

LIBRARIES = ("torch", "torchvision", "numpy", "numba", "hydra-core", "omegaconf", "pydantic")

PROVENANCE = "provenance.json"  # beside a copy of the package: where it was copied from
NOT_RESULTS = ("--", ".", ":!results")  # what runs wrote changes no other run


def environment(processes: int = 1) -> dict[str, Any]:
    """Everything about this process that could change a number. processes: that train together."""
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
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


@cache
def provenance() -> dict[str, Any]:
    """Where the code of this process comes from: its commit, whether it was changed since, and how, new files included.

    Results are no code. Of a copy that a sweep made, what was written down with it; None of each outside a checkout.
    """
    copied = Path(chtexp.__file__).parents[1] / PROVENANCE
    if copied.exists():
        origin: dict[str, Any] = json.loads(copied.read_text())
        return origin
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "uncommitted_changes": None, "diff": ""}
    new = (_git("ls-files", "--others", "--exclude-standard", "chtexp", "conf") or "").splitlines()
    parts = [_git("diff", "--no-index", "/dev/null", name, fails=True) for name in new]
    diff = "".join(part or "" for part in (_git("diff", "HEAD", *NOT_RESULTS), *parts))
    return {"commit": commit.strip(), "uncommitted_changes": bool(diff), "diff": diff}


def _git(*arguments: str, fails: bool = False) -> str | None:
    """What git prints about the project's own checkout; None where there is none. fails: any exit code will do."""
    root = Path(chtexp.__file__).parents[1]
    if not (root / ".git").exists():
        return None  # an installed wheel may lie in somebody else's repository
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if fails or done.returncode == 0 else None
