"""Learning rates, worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chtexp.train.learning_rate import inoam, linear, noam, ramped, steps, warmup_cosine


def test_the_linear_rate_reaches_its_end_at_90_percent() -> None:
    rate = linear(0.025, 2.5e-4, 0.9, 1000)
    assert rate(0) == 0.025
    assert rate(450) == pytest.approx((0.025 + 2.5e-4) / 2)
    assert rate(900) == rate(999) == pytest.approx(2.5e-4)


def test_steps_by_hand() -> None:
    rate = steps(0.1, 0.1, (0.5, 0.75), 400)
    assert [rate(step) for step in (0, 199, 200, 299, 300, 399)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert steps(0.1, 0.5, (), 10)(9) == 0.1


def test_noam_by_hand() -> None:
    rate = noam(2.0, 256, 100)
    assert rate(0) == pytest.approx(2 / 16 / 1000)  # n = 1: 100^-1.5
    assert rate(24) == pytest.approx(2 / 16 * 25 / 1000)
    assert rate(99) == pytest.approx(2 / 16 / 10)  # the peak
    assert rate(399) == pytest.approx(2 / 16 / 20)
    assert max(range(1000), key=rate) == 99


def test_warmup_cosine_by_hand() -> None:
    rate = warmup_cosine(0.003, 10, 110)
    assert rate(0) == pytest.approx(0.0003)
    assert rate(9) == pytest.approx(0.003)
    assert rate(59) == pytest.approx(0.003 * 0.55)
    assert rate(34) == pytest.approx(0.003 * (0.1 + 0.45 * (1 + math.sqrt(0.5))))
    assert rate(109) == pytest.approx(0.0003)
    assert warmup_cosine(1.0, 0, 4, floor=0.0)(1) == pytest.approx(0.5)
    assert warmup_cosine(1.0, 4, 4)(3) == 1.0


def test_a_ramp_follows_every_update_from_the_warm_up_to_the_last() -> None:
    rate = ramped(lambda step: 8.0, update_interval=10, last_update=lambda: 35, ramp_steps=4, after=20)
    flat, ramp = [8.0] * 10, [2.0, 4.0, 6.0] + [8.0] * 7
    assert [rate(step) for step in range(60)] == flat + flat + ramp + ramp + flat + flat


def test_no_update_no_ramp() -> None:
    rate = ramped(lambda step: 8.0, update_interval=10, last_update=lambda: 0, ramp_steps=4)
    assert {rate(step) for step in range(60)} == {8.0}
    early = ramped(lambda step: 8.0, update_interval=10, last_update=lambda: 9, ramp_steps=4)
    assert {early(step) for step in range(60)} == {8.0}


def test_a_ramp_longer_than_the_interval_starts_anew() -> None:
    rate = ramped(lambda step: 8.0, update_interval=2, last_update=lambda: 6, ramp_steps=4)
    assert [rate(step) for step in range(12)] == [8, 8, 2, 4, 2, 4, 2, 4, 6, 8, 8, 8]


def test_a_warm_up_that_ends_between_updates_leaves_the_earlier_one_without_a_ramp() -> None:
    rate = ramped(lambda step: 8.0, update_interval=10, last_update=lambda: 30, ramp_steps=4, after=11)
    assert [rate(step) for step in range(8, 24)] == [8.0] * 12 + [2.0, 4.0, 6.0, 8.0]


def test_inoam_is_noam_with_the_papers_ramps() -> None:
    plain, rate = noam(0.25, 512, 1000), inoam(0.25, 512, 1000, 100, lambda: 3750)
    assert all(rate(step) == plain(step) for step in range(1000))
    for update in (1000, 1100, 3700):
        assert rate(update) == pytest.approx(plain(update) / 20)
        assert rate(update + 9) == pytest.approx(plain(update + 9) / 2)
        assert rate(update + 19) == plain(update + 19)
    assert all(rate(step) == plain(step) for step in range(3720, 5000))


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(1, 300), st.integers(0, 5000), st.integers(1, 40), st.integers(0, 3000))
def test_the_ramp_knows_the_newest_update(step: int, interval: int, last: int, ramp: int, after: int) -> None:
    """Against a list of all updates."""
    updates = [u for u in range(interval, last + 1, interval) if u <= step]
    newest = updates[-1] if updates and updates[-1] >= after else None
    wanted = 1.0 if newest is None else min((step - newest + 1) / ramp, 1.0)
    assert ramped(lambda _: 3.0, interval, lambda: last, ramp, after)(step) == pytest.approx(3 * wanted)
