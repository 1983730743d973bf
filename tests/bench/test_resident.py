"""The most memory that a call holds: of any library's, given back or not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from chtexp.bench.resident import peak_of

CPU = torch.device("cpu")
LARGE = 1 << 26


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_what_was_given_back_counts_and_what_was_there_does_not() -> None:
    before = torch.ones(LARGE, dtype=torch.uint8)
    result, peak = peak_of(lambda: int(np.ones(LARGE, np.uint8)[-1]) + int(before[0]), CPU)
    assert result == 2
    assert peak is not None
    assert 0.9 * LARGE < peak < 2 * LARGE  # the system counts in batches of pages
    small = peak_of(lambda: len([bytes(1000) for _ in range(LARGE // 1000)]), CPU)[1]  # kept by malloc when it is freed
    assert small is not None
    assert 0.9 * LARGE < small < 2 * LARGE
    again = peak_of(lambda: len([bytes(1000) for _ in range(LARGE // 1000)]), CPU)[1]
    assert again is not None
    assert 0.5 * LARGE < again < 2 * LARGE
    _, little = peak_of(lambda: None, CPU)
    assert little is not None
    assert little < LARGE / 8
