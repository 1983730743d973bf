"""Vectors of compiled code do what numpy does with as many floats."""

from __future__ import annotations

import numpy as np
import pytest

from chtexp.sparse.cpu.vectors import LANES, full, load, store, times, times_plus, total, totals, where_positive
from chtexp.system.kernels_cache import njit


@njit()
def all_of_it(a, b, c, place, results, sums, lanes):
    x, y, z = load(a, place, lanes), load(b, place, lanes), load(c, place, lanes)
    store(results[0], place, times(x, y), lanes)
    store(results[1], place, times_plus(x, y, z), lanes)
    store(results[2], place, where_positive(x, y), lanes)
    store(results[3], place, full(np.float32(7)), lanes)
    sums[0] = total(x)
    sums[1], sums[2], sums[3], sums[4] = totals(x, y, z, times(x, y))


@pytest.mark.parametrize("lanes", [None, 0, 1, 8, 17, 31, 32])
@pytest.mark.parametrize("place", [0, 3])
def test_every_operation(lanes: int | None, place: int) -> None:
    a, b, c = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    a[place + 2] = 0
    results, sums = np.full((4, 40), 9, np.float32), np.zeros(5, np.float32)
    all_of_it(a, b, c, place, results, sums, lanes)
    count = LANES if lanes is None else lanes
    inside = slice(place, place + count)
    x, y, z = a[inside], b[inside], c[inside]
    wanted = [x * y, x * y + z, np.where(x <= 0, np.float32(0), y), np.full(count, 7, np.float32)]
    np.testing.assert_allclose(results[:, inside], wanted, rtol=1e-5, atol=1e-6)
    assert (np.delete(results, np.arange(place, place + count), axis=1) == 9).all(), "written outside of the lanes"
    np.testing.assert_allclose(sums, [x.sum(), x.sum(), y.sum(), z.sum(), (x * y).sum()], rtol=1e-4, atol=1e-5)


def test_lanes_outside_are_never_read() -> None:
    short = np.arange(5, dtype=np.float32)  # at the end of its memory
    results, sums = np.zeros((4, 40), np.float32), np.zeros(5, np.float32)
    beyond = np.full(40, np.nan, np.float32)
    beyond[:5] = 1
    all_of_it(short, beyond, beyond, 0, results, sums, 5)
    assert sums.tolist() == [10, 10, 5, 5, 10]


def test_not_a_number_passes() -> None:
    values = np.full(40, np.nan, np.float32)
    results, sums = np.zeros((4, 40), np.float32), np.zeros(5, np.float32)
    all_of_it(values, values, values, 0, results, sums, None)
    assert np.isnan(results[:3, :LANES]).all()
    assert np.isnan(sums).all()
