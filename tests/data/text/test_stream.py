"""Packed sequences against slices of the whole stream, over any borders of shards."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.text import TokenStream


def stream_of(*shards: list[int]) -> TokenStream:
    return TokenStream([np.array(shard, dtype="<u2") for shard in shards])


def test_by_hand():
    stream = stream_of([0, 1, 2], [3, 4, 5, 6], [7])
    assert (len(stream), stream.sequences(2), stream.sequences(3), stream.sequences(7), stream.sequences(8)) == (
        8,
        3,
        2,
        1,
        0,
    )
    tokens_BL = stream.take([2, 0], 2)
    assert tokens_BL.dtype == torch.int64
    assert tokens_BL.tolist() == [[4, 5, 6], [0, 1, 2]]
    assert stream.take(torch.tensor([0]), 7).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


@given(
    st.lists(st.integers(0, 9), max_size=8),
    st.integers(1, 12),
    st.lists(st.integers(0, 10**6), max_size=6),
    st.sampled_from(["<u2", "<u4"]),
)
def test_as_slices_of_the_whole(sizes, length, picks, kind):
    tokens_T = np.arange(sum(sizes)) * 977 % 65_536
    stream = TokenStream(np.split(tokens_T.astype(kind), np.cumsum(sizes)[:-1]) if sizes else [])
    assert len(stream) == len(tokens_T)
    N = stream.sequences(length)
    assert N * length + 1 <= len(tokens_T) < (N + 1) * length + 1 or N == 0 == len(tokens_T)
    indices_B = [pick % N for pick in picks] if N else []
    wanted = [tokens_T[n * length : n * length + length + 1].tolist() for n in indices_B]
    taken_BL = stream.take(indices_B, length)
    assert taken_BL.shape == (len(indices_B), length + 1)
    assert taken_BL.tolist() == wanted


def test_no_token_is_lost_between_sequences():
    tokens_NL = stream_of(list(range(50)), list(range(50, 101))).take(range(10), 10)
    assert tokens_NL[:, 1:].flatten().tolist() == list(range(1, 101))  # every target once
    assert (tokens_NL[1:, 0] == tokens_NL[:-1, -1]).all()


@pytest.mark.parametrize(("length", "rest"), [(1, [100]), (10, [100]), (33, [99, 100]), (40, list(range(80, 101)))])
def test_what_whole_sequences_leave_over(length, rest):
    stream = stream_of(list(range(50)), list(range(50, 101)))
    assert stream.rest(length).tolist() == [rest]
    assert (len(rest) - 1) + stream.sequences(length) * length == 100  # targets: all but the first token


@pytest.mark.parametrize("index", [-1, 3])
def test_a_sequence_that_there_is_not(index):
    with pytest.raises(IndexError, match="of 3"):
        stream_of([0, 1, 2], [3, 4, 5, 6]).take([0, index], 2)


def test_large_ids_do_not_turn_negative():
    assert TokenStream([np.array([65_535, 0], "<u2")]).take([0], 1).tolist() == [[65_535, 0]]
    assert TokenStream([np.array([2**32 - 1, 0], "<u4")]).take([0], 1).tolist() == [[2**32 - 1, 0]]


def test_speed_from_many_shards(tmp_path, capsys):
    shards = []
    for n in range(16):
        np.random.default_rng(n).integers(0, 32_000, 1 << 20).astype("<u2").tofile(tmp_path / str(n))
        shards.append(np.asarray(np.memmap(tmp_path / str(n), "<u2", mode="r")))
    stream = TokenStream(shards)
    order = np.random.default_rng(0).permutation(stream.sequences(256))
    start = time.perf_counter()
    for batch in range(200):
        stream.take(order[batch * 32 : batch * 32 + 32], 256)
    speed = 200 * 32 * 256 / (time.perf_counter() - start)
    with capsys.disabled():
        print(f" {speed / 1e6:.1f} million tokens a second, batches of 32 sequences of 256 from 16 shards ", end="")
    assert speed > 500_000
