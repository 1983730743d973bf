"""The pages in docs/ are true: what is marked `sh run` runs, in the order of the page, with the files that the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chtexp.sparse import GROWTH, method_names
from chtexp.sparse.criteria import CRITERIA
from chtexp.sparse.schedules import SCHEDULES
from chtexp.topology import topology_names

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
PROGRAMS = {"chtexp": [sys.executable, "-m", "chtexp"], "python": [sys.executable]}


def blocks(page: str) -> list[tuple[str, str]]:
    """What stands behind the fences of a page's blocks (`sh run`, `yaml FILE`), and the blocks."""
    return re.findall(r"^```(\S+ \S+)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def follow(page: str, folder: Path) -> list[str]:
    """Write the files of a page, run its commands, and return what each printed."""
    printed = []
    environment = {**os.environ, "CHTEXP_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    for mark, content in blocks(page):
        if mark != "sh run":
            path = folder / mark.partition(" ")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            continue
        for command in content.splitlines():
            program, *arguments = shlex.split(command, comments=True)
            done = subprocess.run(
                [*PROGRAMS[program], *arguments],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, command + "\n" + done.stdout + done.stderr
            printed.append(done.stdout)
    return printed


@pytest.mark.parametrize("page", [page for page in PAGES if page != "your-own-method.md"])
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    assert all(follow(page, tmp_path))


def test_the_worked_example_of_an_own_method(tmp_path: Path) -> None:
    swept, table = follow("your-own-method.md", tmp_path)
    assert "6 of 6 runs done" in swept
    for row in ("SET", "Preferential"):
        (line,) = [line for line in table.splitlines() if f"| {row} " in line and "±" in line]
        assert re.search(r"\d\d\.\d\d ± \d+\.\d\d", line)
    assert re.search(r"Preferential above SET .*(holds|fails)", table)


def test_every_rule_and_method_is_described() -> None:
    text = (DOCS / "methods.md").read_text()
    rules = [*topology_names(), *CRITERIA, "random", *GROWTH, *SCHEDULES]
    methods = [name for name in method_names() if "/" not in name]
    assert [name for name in [*rules, *methods] if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target
