"""Compiled code is as new as its sources, runs on torch's number of threads, and leaves that number alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from chtexp.topology.compiled import PACKAGE, njit, prange, run


@njit(parallel=True)
def threads_seen(seen):
    for i in prange(seen.size):
        seen[i] = numba.get_num_threads()


@njit
def add(numbers, more):
    for i in range(numbers.size):
        numbers[i] += more
    return numbers.sum()


@njit(parallel=True)
def fail(numbers):
    for i in prange(numbers.size):
        numbers[i] = 1
    raise ValueError("no")


@pytest.mark.parametrize("threads", [1, 2, 1000])
def test_a_parallel_kernel_takes_torchs_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        seen = torch.zeros(10)
        run(threads_seen, seen)
        assert set(seen.tolist()) == {min(threads, numba.config.NUMBA_NUM_THREADS)}
        assert torch.get_num_threads() == threads
        with pytest.raises(ValueError, match="no"):
            run(fail, seen)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_tensors_are_changed_in_place_and_results_returned() -> None:
    numbers = torch.zeros(3, requires_grad=True)
    assert run(add, numbers, 2.0) == 6
    assert numbers.tolist() == [2, 2, 2]
    assert run(add, torch.from_numpy(np.ones(2)), 0) == 2


def test_every_kernel_is_made_by_the_njit_whose_cache_follows_all_sources() -> None:
    own = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"from numba import .*njit|numba\.njit", path.read_text().split('"""', 2)[2])
    ]
    assert own == ["compiled.py"]


def test_a_change_in_an_inlined_function_reaches_the_kernels_of_other_files(tmp_path: Path) -> None:
    """numba alone would go on with what it compiled before: `paths` inlines a formula of `weights`."""
    shutil.copytree(PACKAGE, tmp_path / "chtexp", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import torch; from chtexp.topology.link_prediction import ch_scores;"
        "ring = torch.eye(3, 4, dtype=torch.bool).roll(1, 1) | torch.eye(3, 4, dtype=torch.bool);"
        "print(ch_scores(ring, 'ch2_l3p').sum().item())"
    )

    def total() -> float:
        ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        return float(ran.stdout)

    before = total()
    formula = tmp_path / "chtexp" / "topology" / "weights.py"
    text = formula.read_text()
    assert "return (1 + internal) / (1 + external)" in text
    formula.write_text(
        text.replace("return (1 + internal) / (1 + external)", "return 5 * (1 + internal) / (1 + external)")
    )
    assert total() == pytest.approx(5 * before)
