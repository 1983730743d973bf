"""Measuring: known sleeps come out right, a thing is as fast as itself, turns alternate."""

from __future__ import annotations

import time

import pytest
import torch

from chtexp.bench.measure import Candidate, Measured, Spread, interleave
from chtexp.system.others import OtherWork

pytestmark = pytest.mark.timing


def test_a_spread_is_median_and_quartiles() -> None:
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0], factor=10) == Spread(30.0, 20.0, 40.0, 5)


def test_a_ratio_is_taken_within_rounds() -> None:
    measured = Measured({"base": [1.0, 10.0, 4.0], "twice": [2.0, 20.0, 8.0]})  # the second round met a busy machine
    assert measured.ratio("twice", baseline="base") == Spread(0.5, 0.5, 0.5, 3)
    assert measured.excess("twice", over="base", factor=100).median == 400


def test_a_known_slow_function_is_measured_right() -> None:
    slow, fast = Candidate("slow", lambda: time.sleep(0.02)), Candidate("fast", lambda: time.sleep(0.005))
    measured = interleave([fast, slow], rounds=5, seconds=0.2)
    assert 0.02 <= measured.spread("slow").median < 0.03
    assert 0.005 <= measured.spread("fast").median < 0.01
    assert 0.15 < measured.ratio("slow", baseline="fast").median < 0.4


def test_a_thing_is_as_fast_as_itself() -> None:
    matrix = torch.rand(200, 200)
    same = [Candidate(name, lambda: matrix.cumsum(0)) for name in ("one", "two")]
    assert interleave(same, rounds=15, seconds=0.3).ratio("two", baseline="one").median == pytest.approx(1, rel=0.3)


def test_candidates_take_turns_and_what_they_started_is_waited_for() -> None:
    calls: list[str] = []
    slow = [
        Candidate(name, lambda name=name: calls.append(name) or time.sleep(0.01), lambda: calls.append("|"))  # type: ignore[misc]
        for name in "AB"
    ]
    interleave(slow, rounds=4, seconds=0.04)
    assert "".join(calls).endswith("A|B|A|B|A|B|")


def test_rounds_shrink_to_three_for_what_is_slow() -> None:
    measured = interleave([Candidate("slow", lambda: time.sleep(0.02))], rounds=50, seconds=0.001)
    assert measured.spread("slow").rounds == 3


def test_own_work_is_no_work_of_others() -> None:
    others = OtherWork()
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass
    share = others.share()
    assert share is None or 0 <= share <= 1
