"""Descriptions, tables and reports are made without what trains: nobody waits for torch to look at something."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "numba", "transformers", "datasets", "wandb")


@pytest.mark.parametrize(
    "code",
    [
        "import chtexp.config.compose, chtexp.config.launcher",
        "import chtexp.store.collection, chtexp.store.conditions, chtexp.store.damage, chtexp.store.evaluations",
        "import chtexp.report, chtexp.report.figures, chtexp.report.page",
        "import chtexp.paper.plan, chtexp.paper.tables, chtexp.paper.inventory, chtexp.paper.draw, chtexp.paper.lock_making",
        "import chtexp.cost.count",
        "import chtexp.pictures.kept, chtexp.pictures.sources",
        "import chtexp.cli.train, chtexp.cli.plan, chtexp.cli.table, chtexp.cli.status, chtexp.cli.sweep, chtexp.cli.report",
        "from chtexp.config.compose import compose_run; compose_run(['data=mnist', 'method=cht']).id",
        "from chtexp.config.compose import compose_run; compose_run(['data=multi30k']).folder",
        "from chtexp.paper.plan import plan_runs; [item.cost for item in plan_runs('table7', ['data=mnist'], None)]",
    ],
)
def test_loads_nothing_heavy(code: str) -> None:
    ask = f"import sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
