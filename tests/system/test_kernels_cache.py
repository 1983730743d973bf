"""Compiled code is as new as its sources, runs on torch's number of threads, and leaves that number alone."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from numba import njit, prange

from chtexp.system.kernels_cache import PACKAGE, clock, compilation_announced, run


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


def test_the_clock_stands_still_while_a_kernel_is_compiled() -> None:
    @njit(cache=False)
    def outer(numbers):
        return add(numbers, 1.0) + numbers.max()

    clocked, passed = clock(), time.perf_counter()
    run(outer, torch.zeros(5, dtype=torch.float64))
    clocked, passed = clock() - clocked, time.perf_counter() - passed
    assert 0 <= clocked < passed / 2, (clocked, passed)
    before = clock()
    time.sleep(0.05)
    assert clock() - before > 0.04


def test_tensors_are_changed_in_place_and_results_returned() -> None:
    numbers = torch.zeros(3, requires_grad=True)
    assert run(add, numbers, 2.0) == 6
    assert numbers.tolist() == [2, 2, 2]
    assert run(add, torch.from_numpy(np.ones(2)), 0) == 2


def test_every_kernel_is_made_by_the_njit_whose_cache_follows_all_sources() -> None:
    makers = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil"}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "kernels_cache.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
                assert not makers & {name.name for name in node.names}, path
            if isinstance(node, ast.Import):
                assert "numba" not in [name.name for name in node.names] or path.name in ("machine.py",), path


@pytest.mark.parametrize("writable", [True, False])
def test_a_change_in_an_inlined_function_reaches_the_kernels_of_other_files(writable: bool, tmp_path: Path) -> None:
    """numba alone would go on with what it compiled before: `paths` inlines a formula of `weights`."""
    shutil.copytree(PACKAGE, tmp_path / "chtexp", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import torch; from chtexp.topology.link_prediction import ch_scores;"
        "ring = torch.eye(3, 4, dtype=torch.bool).roll(1, 1) | torch.eye(3, 4, dtype=torch.bool);"
        "print(ch_scores(ring, 'ch2_l3p').sum().item())"
    )

    if not writable:  # for root, too
        (tmp_path / "chtexp" / "__pycache__").write_text("a file where the folder should be")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "home")}

    def total() -> float:
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return float(ran.stdout)

    before = total()
    formula = tmp_path / "chtexp" / "topology" / "weights.py"
    text = formula.read_text()
    assert "return (1 + internal) / (1 + external)" in text
    formula.write_text(
        text.replace("return (1 + internal) / (1 + external)", "return 5 * (1 + internal) / (1 + external)")
    )
    assert total() == pytest.approx(5 * before)
    assert (tmp_path / "home").exists() is not writable


def test_a_compilation_is_announced_once_and_cached_kernels_say_nothing() -> None:
    said: list[str] = []
    with compilation_announced(said.append):
        numba.njit(lambda x: x + 1)(1)
        numba.njit(lambda x: x + 2)(1)
    assert said == ["compiling kernels, which are kept for later runs"]
    kernel = numba.njit(lambda x: x + 3)
    kernel(1)
    with compilation_announced(said.append):
        kernel(2)
    numba.njit(lambda x: x + 4)(1)
    assert len(said) == 1
