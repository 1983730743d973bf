"""The order of training sequences: each at most once an epoch, any batch without those before it."""

from __future__ import annotations

import time
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.text import SequenceBatches
from chtexp.errors import UserError


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_is_every_sequence_once_but_for_a_rest(sequences, size, seed):
    if size > sequences:
        return
    batches = SequenceBatches(sequences, size, seed)
    M = batches.batches_per_epoch
    assert sequences // size == M
    for epoch in range(2):
        seen = list(islice(batches.iterate(epoch * M), M))
        assert all(batch.dtype == np.int64 and len(batch) == size for batch in seen)
        everything = np.concatenate(seen).tolist()
        assert len(set(everything)) == M * size
        assert set(everything) <= set(range(sequences))


@given(st.integers(0, 60))
def test_any_batch_is_known_without_those_before(first):
    whole, later = (SequenceBatches(50, 7, seed=3) for _ in range(2))
    for a, b in zip(islice(whole.iterate(), first, first + 9), later.iterate(first), strict=False):
        assert a.tolist() == b.tolist()


def test_epochs_and_seeds_differ_and_none_is_sorted():
    orders = {
        tuple(np.concatenate(list(islice(SequenceBatches(100, 10, seed).iterate(epoch * 10), 10))).tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert all(0.3 < (np.diff(order) > 0).mean() < 0.7 for order in orders)


def test_the_rest_of_one_epoch_is_seen_in_others():
    batches = SequenceBatches(5, 4, seed=0)
    assert {n for batch in islice(batches.iterate(), 20) for n in batch} == set(range(5))


def test_more_than_there_is():
    with pytest.raises(
        UserError, match="there are 3 training sequences, fewer than a batch of 4; take a smaller batch"
    ):
        SequenceBatches(3, 4, seed=0)


def test_late_batches_of_many_sequences_at_once():
    N = 10_000_000
    batches = SequenceBatches(N, 512, seed=0)
    start = time.perf_counter()
    next(batches.iterate(1000 * batches.batches_per_epoch + 17))
    assert time.perf_counter() - start < 10  # 0.3 s alone


def test_a_batch_holds_no_epoch_in_memory():
    batch = next(SequenceBatches(1000, 10, seed=0).iterate())
    assert batch.base is None
