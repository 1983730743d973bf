"""Batches by tokens against a loop that adds one pair at a time, and padding against a loop over sentences."""

from __future__ import annotations

import time
from itertools import combinations, islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.translation import Pairs, TokenBatches, length_batches
from chtexp.data.translation.pairs import Sentences
from chtexp.errors import UserError

LENGTHS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=60).map(np.array)


def one_at_a_time(lengths: list[int], tokens: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for length in sorted(lengths):
        if (len(batches[-1]) + 1) * length > tokens:
            batches.append([])
        batches[-1].append(length)
    return batches


@given(LENGTHS, st.integers(20, 100), st.integers(0, 3))
def test_an_epoch_is_every_pair_once_in_full_batches(lengths_N2, tokens, seed):
    batches = TokenBatches(*lengths_N2.T, tokens, seed)
    M, longer_N = batches.batches_per_epoch, lengths_N2.max(1)
    wanted = sorted(one_at_a_time(longer_N.tolist(), tokens))
    for epoch in range(2):
        seen = list(islice(batches.iterate(epoch * M), M))
        assert sorted(np.concatenate(seen).tolist()) == list(range(len(lengths_N2)))
        assert sorted(sorted(longer_N[batch].tolist()) for batch in seen) == wanted
        assert all(len(batch) * lengths_N2[batch].max() <= tokens for batch in seen)


@given(LENGTHS, st.integers(0, 200))
def test_any_batch_is_known_without_those_before(lengths_N2, first):
    whole, later = (TokenBatches(*lengths_N2.T, 40, seed=3) for _ in range(2))
    for a, b in zip(islice(whole.iterate(), first, first + 5), later.iterate(first), strict=False):
        assert a.tolist() == b.tolist()


def test_epochs_and_seeds_differ():
    lengths = np.repeat([55, 60], 500)
    orders = {
        (seed, epoch): np.concatenate(list(islice(batches.iterate(epoch * M), M))).tolist()
        for seed in (0, 1)
        for batches in [TokenBatches(lengths, lengths, 600, seed)]
        for M in [batches.batches_per_epoch]
        for epoch in (0, 1)
    }
    assert len({tuple(order) for order in orders.values()}) == 4
    partners = [{frozenset(order[start : start + 10]) for start in range(0, 1000, 10)} for order in orders.values()]
    assert all(
        not one & other for one, other in combinations(partners, 2)
    )  # not only the order of the batches is drawn
    first = np.array(orders[0, 0])
    assert 0.3 < (np.diff(lengths[first[::10]]) != 0).mean() < 0.7  # short and long batches alternate at random


def test_a_sentence_that_fits_no_batch():
    with pytest.raises(
        UserError, match=r"a sentence of 30 tokens fits no batch of 20 tokens; take batches of at least 30"
    ):
        TokenBatches(np.array([1, 5]), np.array([1, 30]), 20, seed=0)


def test_for_evaluation_shortest_first():
    batches = length_batches(np.array([5, 2, 9, 2, 3]), 9)
    assert [batch.tolist() for batch in batches] == [[1, 3, 4], [0], [2]]
    assert length_batches(np.array([], dtype=np.int64), 9) == []


def test_lengths_beyond_16_bits_are_sorted():
    assert [batch.tolist() for batch in length_batches(np.array([70_000, 5_000]), 70_000)] == [[1], [0]]


def test_millions_of_pairs_within_seconds():
    lengths_2N = np.random.default_rng(0).poisson(28, (2, 4_500_000)) + 1
    start = time.perf_counter()
    batches = TokenBatches(*lengths_2N, 12_000, seed=0)
    next(batches.iterate(3 * batches.batches_per_epoch + 5))
    assert time.perf_counter() - start < 20  # 1.3 s alone


def sentences(rows: list[list[int]]) -> Sentences:
    return Sentences(np.concatenate(rows).astype(np.uint16), np.cumsum([0, *map(len, rows)]))


@given(st.lists(st.lists(st.integers(4, 60_000), min_size=1, max_size=9), min_size=1, max_size=20), st.data())
def test_padded_equals_one_sentence_at_a_time(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    padded_BT, _ = Pairs(sentences(rows), sentences(rows)).padded(np.array(chosen))
    width = max(len(rows[n]) for n in chosen)
    assert padded_BT.dtype == torch.int64
    assert padded_BT.tolist() == [rows[n] + [0] * (width - len(rows[n])) for n in chosen]


def test_pairs_by_hand():
    texts = {"source_text": ["a", "b", "c"], "target_text": ["A", "B", "C"], "target_pipeline": ["x", "y", "z"]}
    pairs = Pairs(sentences([[5, 2], [2], [6, 7, 2]]), sentences([[8, 2], [9, 9, 2], [2]]), **texts)
    assert (len(pairs), pairs.source_lengths.tolist(), pairs.target_lengths.tolist()) == (3, [2, 1, 3], [2, 3, 1])
    source_BS, target_BT = pairs.padded([1, 0])
    assert source_BS.tolist() == [[2, 0], [5, 2]]
    assert target_BT.tolist() == [[9, 9, 2], [8, 2, 0]]
    few = pairs.subset(2)
    assert (len(few), few.source_lengths.tolist(), few.target_lengths.tolist()) == (2, [2, 1], [2, 3])
    assert (few.source_text, few.target_text, few.target_pipeline) == (["a", "b"], ["A", "B"], ["x", "y"])
    assert len(pairs.subset(9)) == 3


def test_real_batches_are_nearly_full(real_multi30k):
    train = real_multi30k.train
    batches = TokenBatches(train.source_lengths, train.target_lengths, 1024, seed=0)
    seen = [train.padded(batch) for batch in islice(batches.iterate(), batches.batches_per_epoch)]
    assert max(max(source.numel(), target.numel()) for source, target in seen) <= 1024
    filled = sum(int((side != 0).sum()) for pair in seen for side in pair) / sum(
        side.numel() for pair in seen for side in pair
    )
    assert filled > 0.9
    assert all((side == 2).sum() == len(side) for pair in seen for side in pair)
