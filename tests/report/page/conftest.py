"""Makes the helper module of this folder importable, and builds reports of small runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.store import RunFolder

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], RunFolder]:
    """A copy of one finished small run, anew each time, alone in its folder of runs."""
    from chtexp.config.compose import compose_run
    from chtexp.run.execute import execute

    small = ("data=digits", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160", "hardware.threads=1")
    runs = tmp_path_factory.mktemp("first")
    run = compose_run([*small, "method=set", "method.sparsity=0.8", "seed=0", f"paths.runs={runs}"])
    execute(run, "chtexp train data=digits")

    def copy() -> RunFolder:
        to = tmp_path_factory.mktemp("runs") / run.folder.path.parent.name / "seed-0"
        shutil.copytree(run.folder.path, to)
        return RunFolder(to)

    return copy
