"""Compiled code runs on torch's number of threads, and leaves that number alone."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from numba import njit, prange

from chtexp.topology.compiled import run


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
