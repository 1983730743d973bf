"""What docs/library.md shows runs, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def test_the_first_script_trains_a_sparse_network(capsys) -> None:
    script = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert script
    exec(compile(script[1], str(PAGE), "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"DynamicSparsity\(CHTs_n, 2 sparse layers, density 0\.1001, step 300 of 300\)", first)
    assert re.fullmatch(r"538 of 5376 links, \d+% of the neurons active, loss \d\.\d\d", second)
