"""What several test folders share: small runs that train in a second or two, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.compose import compose_run
from chtexp.experiments.description import Run

# An MLP of 64-40-40-40-10 on 160 of the embedded digits: 5 steps an epoch, 3 epochs.
SMALL = ("data=digits", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160", "hardware.threads=1")


@pytest.fixture
def small_run(tmp_path: Path) -> Callable[..., Run]:
    """A small run in a folder of its own, with overrides."""

    def describe(*overrides: str) -> Run:
        sparsity = (
            () if any(o.startswith(("method.sparsity", "method=fc")) for o in overrides) else ("method.sparsity=0.8",)
        )
        return compose_run([*SMALL, *sparsity, f"paths.runs={tmp_path}/runs", *overrides])

    return describe


@pytest.fixture
def chtexp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in a process of its own, its runs in a folder of their own."""

    def call(*arguments: str, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"CHTEXP_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-m", "chtexp", *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env={**os.environ, **own},
            check=False,
        )
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return call
