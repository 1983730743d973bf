"""Where and by what a run was made: versions, commit, hardware, threads, command."""

from __future__ import annotations

import os
import platform
import shlex
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import chtexp

LIBRARIES = ("torch", "torchvision", "numpy", "numba", "scipy", "hydra-core", "omegaconf", "pydantic")


def environment() -> dict[str, Any]:
    """Everything about this process that could change a number."""
    commit, dirty = _commit()
    return {
        "chtexp": chtexp.__version__,
        "commit": commit,
        "uncommitted_changes": dirty,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "system": platform.platform(),
        "host": socket.gethostname(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
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


def command() -> str:
    """The command line of this process, fit to be typed again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def uncommitted_diff() -> str:
    """The difference of the working tree to its commit, or nothing outside a checkout."""
    return _git("diff", "HEAD") or ""


def _commit() -> tuple[str | None, bool | None]:
    commit = _git("rev-parse", "HEAD")
    return (
        (commit.strip(), bool((_git("status", "--porcelain", "--untracked-files=no") or "").strip()))
        if commit
        else (None, None)
    )


def _git(*arguments: str) -> str | None:
    package = Path(chtexp.__file__).parent
    if not (package.parent / ".git").exists():
        return None  # an installed wheel may lie in somebody else's repository
    try:
        done = subprocess.run(["git", *arguments], cwd=package, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
