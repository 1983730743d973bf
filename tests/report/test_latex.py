"""Every table of the paper by a real LaTeX, with no results and with all that are here, on pages with narrow margins.

Skipped where pdflatex is not installed (scripts/local_latex.sh), unless CHTEXP_REQUIRE_LATEX says that it must be.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chtexp.paper.tables import finished_table
from chtexp.report import render

pytestmark = pytest.mark.slow
RESULTS = sorted((Path(__file__).parents[2] / "results").glob("*.jsonl"))
NAMES = [f"table{number}" for number in (1, 2, 3, *range(7, 21))]
PAGE = (
    r"\documentclass[a4paper]{article}\usepackage[margin=2cm]{geometry}\usepackage{booktabs,longtable}\begin{document}"
)


@pytest.fixture
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None:
        reason = "no LaTeX on this machine; scripts/local_latex.sh installs one (Debian, root)"
        if os.environ.get("CHTEXP_REQUIRE_LATEX"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.mark.parametrize("collected", [[], RESULTS], ids=["no results", "all results"])
def test_every_table_compiles_and_fits_the_page(collected: list[Path], pdflatex: str, tmp_path: Path) -> None:
    names = [*NAMES, "nano", "quickstart"]
    tables = {name: finished_table(name, [f"paths.runs={tmp_path}"], None, collected) for name in names}
    body = "\n\\clearpage\n".join(render(table, "latex") for table in tables.values())
    (tmp_path / "tables.tex").write_text(f"{PAGE}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    for _ in range(2):  # a long table learns its widths from the first pass
        done = subprocess.run(
            [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "tables.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    said = done.stdout.replace("\n", " ")
    assert not re.findall(r"Missing character[^.]*|undefined[^.]*", said)
    assert (
        max((float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", said)), default=0) < 20
    )
    assert (tmp_path / "tables.pdf").stat().st_size > 50_000
