"""Where and by what a run was made: versions, commit, hardware, threads, command."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import chtexp

LIBRARIES = ("torch", "torchvision", "numpy", "numba", "hydra-core", "omegaconf", "pydantic")

NOT_RESULTS = ("--", ".", ":!results")  # what runs wrote changes no other run


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


def uncommitted_diff() -> str:
    """The difference of the working tree to its commit, new files of code and configuration included.

    Nothing outside a checkout.
    """
    new = [_git("diff", "--no-index", "/dev/null", name, fails=True) for name in _untracked()]
    return "".join(part or "" for part in (_git("diff", "HEAD", *NOT_RESULTS), *new))


def _untracked() -> list[str]:
    return (_git("ls-files", "--others", "--exclude-standard", "chtexp", "conf") or "").splitlines()


def _commit() -> tuple[str | None, bool | None]:
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit.strip(), bool((_git("diff", "HEAD", "--name-only", *NOT_RESULTS) or "").strip() or _untracked())


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
