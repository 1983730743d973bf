"""Density, zeta and delta at steps where they can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from chtexp.config.schedules import soft_exponent, zeta_at
from chtexp.errors import UserError
from chtexp.sparse import density_schedule

DECAY: dict[str, Any] = {"initial": 0.5, "final": 0.1, "total": 1000, "interval": 10}


def test_fixed_never_moves() -> None:
    schedule = density_schedule("fixed", final=0.05, total=100)
    assert {schedule(step) for step in (0, 1, 50, 99, 100)} == {0.05}


def test_cubic() -> None:
    schedule = density_schedule("cubic", **DECAY)  # ends at step 800
    assert schedule(0) == 0.5
    assert schedule(400) == pytest.approx(0.1 + 0.4 / 8)
    assert schedule(200) == pytest.approx(0.1 + 0.4 * 27 / 64)
    assert schedule(800) == schedule(1000) == 0.1
    assert schedule.end_step == 800


def test_sigmoid() -> None:
    schedule = density_schedule("sigmoid", **DECAY, k=4.0)
    assert schedule(0) == 0.5
    assert schedule(400) == pytest.approx(0.3)
    low, high, quarter = (1 / (1 + math.exp(-x)) for x in (-4, 4, -2))
    assert schedule(200) == pytest.approx(0.5 - 0.4 * (quarter - low) / (high - low))
    assert schedule(800) == schedule(1000) == 0.1
    steep = density_schedule("sigmoid", **DECAY)  # k = 6
    assert steep(200) > schedule(200)
    assert steep(600) < schedule(600)


def test_a_decay_waits_for_its_start_and_ends_on_an_update() -> None:
    for kind in ("cubic", "sigmoid"):
        schedule = density_schedule(kind, **DECAY | {"interval": 70}, start=0.2, end=0.5)
        assert schedule(0) == schedule(200) == 0.5
        assert 0.1 < schedule(489) < schedule(201) < 0.5
        assert schedule(490) == 0.1  # the last multiple of 70 up to step 500
        assert schedule.end_step == 490
    assert density_schedule("cubic", **DECAY | {"interval": 250}, end=1.0).end_step == 750  # steps follow it


def test_match_flops_has_the_mean_density_of_the_cubic_decay() -> None:
    decay = DECAY | {"total": 100_000}
    cubic, sigmoid = density_schedule("cubic", **decay), density_schedule("sigmoid", **decay, match_flops=True)
    assert sigmoid.end_step == 40_000
    assert sigmoid.mean(100_000, 10) == pytest.approx(cubic.mean(100_000, 10), rel=1e-3)
    assert cubic.mean(100_000, 10) == pytest.approx(0.1 + 0.8 * 0.4 / 4, rel=1e-3)
    late = density_schedule("sigmoid", **decay, start=0.2, end=0.6, match_flops=True)
    assert late.end_step == 40_000


def test_the_mean_counts_every_step_once() -> None:
    schedule = density_schedule("em_s", final=0.1, total=10, interval=4, end=1.0)
    assert [schedule(step) for step in (0, 4, 8)] == pytest.approx([0.15, 0.15, 0.1])
    assert schedule.mean(10, 4) == pytest.approx((4 * 0.15 + 4 * 0.15 + 2 * 0.1) / 10)


def test_em_s_falls_in_two_steps() -> None:
    schedule = density_schedule("em_s", final=0.1, total=1000, interval=20)  # end 750, so 450 and 740
    assert [schedule(step) for step in (0, 449)] == pytest.approx([0.15, 0.15])
    assert [schedule(step) for step in (450, 739)] == pytest.approx([0.125, 0.125])
    assert [schedule(step) for step in (740, 1000)] == [0.1, 0.1]
    assert density_schedule("em_s", final=0.97, total=1000)(0) == 1.0


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("cubik", {}, "did you mean 'cubic'"),
        ("fixed", {"k": 3.0}, "has no parameter 'k'; it takes: none"),
        ("cubic", {"k": 3.0}, "it takes: start, end"),
        ("cubic", {"initial": None}, "needs the initial density"),
        ("cubic", {"initial": 0.05}, "initial sparsity 0.95 must be below the target 0.9"),
        ("cubic", {"initial": 1.5}, "initial density must be above 0 and at most 1"),
        ("fixed", {"final": 0.0}, "final density must be above 0"),
        ("fixed", {"total": 0}, "at least 1 step"),
        ("fixed", {"interval": 0}, "at least 1 step"),
        ("sigmoid", {"k": 0.0}, "k must be above 0"),
        ("sigmoid", {"start": 0.9, "end": 0.8}, "0 <= start < end <= 1"),
        ("cubic", {"end": 1.2}, "0 <= start < end <= 1"),
        ("cubic", {"interval": 900}, "train longer or update more often"),
    ],
)
def test_wrong_values_are_named(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        density_schedule(kind, **DECAY | changes)


def test_zeta() -> None:
    assert zeta_at(0.3, "constant", 999, 100) == 0.3
    assert [zeta_at(0.3, "cosine", step, 100) for step in (0, 50, 100, 120)] == pytest.approx([0.3, 0.15, 0, 0])
    assert zeta_at(0.3, "cosine", 25, 100) == pytest.approx(0.15 * (1 + math.sqrt(0.5)))
    assert zeta_at(0.3, "cosine", 0, 0) == 0


def test_soft_exponent() -> None:
    for schedule in ("exponent", "delta"):
        assert soft_exponent(schedule, 0.5, 0.75, 0) == 1
        assert soft_exponent(schedule, 0.5, 0.75, 1) == 3
        assert soft_exponent(schedule, 0, 0, 1) == 0
    assert soft_exponent("exponent", 0.5, 0.9, 0.5) == pytest.approx(5)
    assert soft_exponent("delta", 0.5, 0.9, 0.5) == pytest.approx(0.7 / 0.3)
    # half of LLaMA's training, where rewiring ends at three quarters: the paper's two readings
    assert soft_exponent("exponent", 0.5, 0.9, 0.5 / 0.75) == pytest.approx(6.33, abs=0.01)
