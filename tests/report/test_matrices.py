"""Figure 5's matrices are kept in a file, and are what the package makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chtexp.paper.draw import make_matrices
from chtexp.report.figures import matrices
from chtexp.report.figures.matrices import read_matrices, write_matrices


def test_the_kept_matrices_are_those_that_are_made() -> None:
    kept, made = read_matrices(), make_matrices()
    assert [list(row) for row in kept] == [list(row) for row in made]
    for kept_row, made_row in zip(kept, made, strict=True):
        for name, mask_OI in kept_row.items():
            assert mask_OI.dtype == bool
            assert (mask_OI == made_row[name]).all(), f"{name}: scripts/update_figure5.py makes it anew"


def test_matrices_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "FILE", tmp_path / "kept.json")
    mask_OI = np.random.default_rng(0).random((3, 16)) < 0.5
    write_matrices([{"a": mask_OI, "b": ~mask_OI}])
    ((name, first), (other, second)) = read_matrices()[0].items()
    assert (name, other) == ("a", "b")
    assert (first == mask_OI).all()
    assert (second == ~mask_OI).all()


def test_figure_5_is_drawn_without_torch() -> None:
    program = (
        "import sys; from chtexp.paper.draw import Wanted, draw_figure;"
        "draw_figure('figure5', Wanted()); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
