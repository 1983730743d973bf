"""The beginnings of documents against slices of each, over any borders of shards."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.text import PADDING, Beginnings, TokenStream
from chtexp.data.text.shards import read_ends, write_ends

__ = PADDING


def beginnings_of(*documents: list[int], cut: int = 4) -> Beginnings:
    """Documents in one stream, in shards of `cut` tokens."""
    tokens_T = np.array(list(chain(*documents)), dtype="<u2")
    ends_N = np.cumsum([len(document) for document in documents]).astype(np.int64)
    return Beginnings(TokenStream([tokens_T[first : first + cut] for first in range(0, len(tokens_T), cut)]), ends_N)


def test_by_hand():
    beginnings = beginnings_of([1, 2, 0], [3, 4, 5, 6, 7, 0], [0], [8, 9, 3, 0])
    assert (len(beginnings), beginnings.sequences(3)) == (14, 4)
    tokens_BL = beginnings.take([1, 0, 3, 2], 3)
    assert tokens_BL.dtype == torch.int64
    assert tokens_BL.tolist() == [[3, 4, 5, 6], [1, 2, 0, __], [8, 9, 3, 0], [0, __, __, __]]
    assert [beginnings.targets([n], 3) for n in range(4)] == [2, 3, 0, 3]
    assert beginnings.targets([1, 1, 0], 3) == 8
    assert beginnings.take([], 3).shape == (0, 4)
    assert beginnings.rest(3).shape == (1, 0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7), st.integers(1, 5))
def test_as_slices_of_every_document(sizes, length, cut):
    documents = [[10 * number + place for place in range(size)] for number, size in enumerate(sizes)]
    taken = beginnings_of(*documents, cut=cut).take(range(len(sizes)), length).tolist()
    wanted = [document[: length + 1] for document in documents]
    assert taken == [begun + [PADDING] * (length + 1 - len(begun)) for begun in wanted]


@pytest.mark.parametrize(("targets", "documents"), [(1, 0), (2, 1), (4, 1), (5, 3), (7, 3), (8, 4), (100, 4)])
def test_the_first_documents_with_so_many_targets(targets, documents):
    beginnings = beginnings_of([1, 2, 0], [3, 4, 5, 6, 7, 0], [0], [8, 9, 3, 0]).first(targets, 3)
    assert beginnings.sequences(3) == documents
    assert len(beginnings) == [0, 3, 9, 10, 14][documents]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_document_that_there_is_not(index):
    with pytest.raises(IndexError, match="of 2"):
        beginnings_of([1, 0], [2, 0]).take([0, index], 2)


def test_where_documents_end_is_written_down(tmp_path):
    for number, tokens in enumerate(([5, 0, 6], [7, 8, 0], [0, 9, 0])):
        np.array(tokens, "<u2").tofile(tmp_path / f"train.{number:05d}.tokens")
    (tmp_path / "validation.00000.tokens").write_bytes(b"")
    write_ends(tmp_path, "train", np.dtype("<u2"), end_of_text=0)
    assert read_ends(tmp_path, "train").tolist() == [2, 6, 7, 9]
    write_ends(tmp_path, "other", np.dtype("<u2"), end_of_text=0)
    assert read_ends(tmp_path, "other").tolist() == []
