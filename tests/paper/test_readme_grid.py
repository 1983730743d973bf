"""The table that README.md shows how to add is one that can be planned."""

from __future__ import annotations

import re
from pathlib import Path

from chtexp.paper.plan import plan_runs

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readmes_own_table_and_method_can_be_planned(tmp_path: Path) -> None:
    for folder, first in (("paper", "    title:"), ("method", "    defaults:")):
        block = re.search(rf"(?:^ {{4}}.*\n)*?(^{re.escape(first)}.*\n(?:^ {{4}}.*\n)+)", README, re.MULTILINE)
        assert block is not None
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(re.sub(r"^ {4}", "", block[1], flags=re.MULTILINE))
    runs = plan_runs("mine", ["budget=cpu", "+method=mine"], tmp_path)
    assert len(runs) == 4 * 2 * 3
    assert {item.run.method.name for item in runs} == {"FC", "SET", "RigL", "Mine"}
