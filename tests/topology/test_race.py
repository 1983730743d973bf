"""The compiled draws against the plain ones they stand for: the same seed, the same links, the same state after."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from chtexp.topology import candidates, race, sample_links, selection, uniform_links


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain_links(scores: Tensor, k: int, soft: bool, generator: torch.Generator, free: Tensor) -> Tensor:
    """What `sample_links` means: everyone gets an exponential number, and everyone's key is sorted."""

    def numbers(count: int) -> Tensor:
        return torch.empty(count, dtype=torch.float64).exponential_(generator=generator).clamp_min_(1e-300)

    def evenly(pairs: Tensor, count: int) -> Tensor:
        if count in (0, len(pairs)):
            return pairs[:count]
        return pairs[numbers(len(pairs)).topk(count).indices]

    values = scores.flatten().double()
    positive = (free.flatten() & (values > 0)).nonzero().flatten()
    chosen = torch.zeros(free.numel(), dtype=torch.bool)
    if len(positive) <= k:
        chosen[positive] = True
        others = (free.flatten() & (values <= 0)).nonzero().flatten()
        chosen[evenly(others, k - len(positive))] = True
    elif soft:
        keys = values[positive].log() - numbers(len(positive)).log()
        chosen[positive[keys.topk(k).indices]] = True
    elif k:
        cut = values[positive].topk(k).values.min()
        above, tied = positive[values[positive] > cut], positive[values[positive] == cut]
        chosen[above] = True
        chosen[evenly(tied, k - len(above))] = True
    return chosen.view(free.shape)


@pytest.fixture
def all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_FEW", 1)


SCORES = {
    "even": lambda n, g: torch.rand(n, generator=g),
    "counts with ties": lambda n, g: torch.randint(0, 4, (n,), generator=g).float(),
    "one value": lambda n, g: torch.full((n,), 0.3),
    "none positive": lambda n, g: torch.zeros(n),
    "few positive": lambda n, g: (torch.rand(n, generator=g) < 0.02).float(),
    "extreme": lambda n, g: 10.0 ** torch.empty(n, dtype=torch.float64).uniform_(-320, 308, generator=g),
    "hardly above zero": lambda n, g: torch.randint(0, 9, (n,), generator=g).double() * 5e-324,
    "one giant": lambda n, g: torch.rand(n, generator=g).index_fill_(0, torch.tensor([n // 2]), 3e38),
    "sorted": lambda n, g: torch.linspace(0, 1, n) ** 8,
    "half precision": lambda n, g: torch.rand(n, generator=g).bfloat16(),
    "whole numbers": lambda n, g: torch.randint(0, 50, (n,), generator=g),
}


def check(scores: Tensor, k: int, soft: bool, seed: int, free: Tensor) -> None:
    ours, plain = seeded(seed), seeded(seed)
    chosen = sample_links(scores, k, soft=soft, generator=ours, free_OI=free)
    assert torch.equal(chosen, plain_links(scores, k, soft, plain, free))
    assert torch.equal(ours.get_state(), plain.get_state())


@pytest.mark.usefixtures("all_compiled")
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", SCORES)
@given(
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
    share=st.sampled_from([0, 0.01, 0.1, 0.5, 0.9, 1]),
    free=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_small_draws(kind: str, soft: bool, rows: int, columns: int, share: float, free: float, seed: int) -> None:
    generator = seeded(seed)
    scores = SCORES[kind](rows * columns, generator).view(rows, columns)
    free_pairs = torch.rand(rows, columns, generator=generator) < free
    check(scores, round(share * int(free_pairs.sum())), soft, seed, free_pairs)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("k", [0, 1, 400, 60_000])
def test_large_draws(kind: str, soft: bool, k: int) -> None:
    generator = seeded(k)
    scores = SCORES[kind](300 * 400, generator).view(300, 400)
    check(scores, k, soft, seed=k, free=torch.rand(300, 400, generator=generator) < 0.8)


@pytest.mark.parametrize("soft", [False, True])
def test_scores_that_the_sample_does_not_see(soft: bool) -> None:
    """The sample takes every 61st pair: here it sees only giants, or only dwarfs."""
    for giants in (candidates.STRIDE * torch.arange(1000), candidates.STRIDE * torch.arange(1000) + 1):
        scores = torch.ones(400 * 400)
        scores[giants] = 1e6
        check(scores.view(400, 400), 3000, soft, seed=1, free=torch.ones(400, 400, dtype=torch.bool))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("k", [100, 10_000, 19_000])
def test_any_guess_of_the_cut_gives_the_same_links(soft: bool, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, every = torch.rand(100, 200, generator=seeded(0)) + 0.1, torch.ones(100, 200, dtype=torch.bool)
    for guess in [0.0, math.inf, *torch.logspace(-3, 4, 60).tolist()]:
        monkeypatch.setattr(race, "likely_cut", lambda *_, guess=guess: guess)
        monkeypatch.setattr(selection, "likely_cut", lambda *_, guess=guess: guess)
        check(scores, k, soft, seed=1, free=every)


def test_the_guess_saves_work_and_seldom_fails() -> None:
    numbers = torch.rand(1_000_000, generator=seeded(0)).square()
    for k in (10, 1000, 10_000, 300_000):
        reached_by = int((numbers >= candidates.likely_cut(numbers[:: candidates.STRIDE], k, numbers.numel())).sum())
        assert k < reached_by < 1.5 * k + 4000
    assert candidates.likely_cut(numbers[:: candidates.STRIDE], 999_999, numbers.numel()) == 0


def test_even_draws_that_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in a billion draws fewer than k numbers lie above the first look."""
    every = torch.ones(100, 200, dtype=torch.bool)
    expected = uniform_links(every, 500, generator=seeded(0))
    monkeypatch.setattr(race, "pairs_from", lambda numbers, _: candidates.pairs_from(numbers, 0.99))
    assert torch.equal(uniform_links(every, 500, generator=seeded(0)), expected)


def test_scores_and_free_pairs_need_not_be_contiguous() -> None:
    scores, free = torch.rand(300, 200, generator=seeded(0)).T, (torch.rand(300, 200, generator=seeded(1)) < 0.5).T
    for soft in (False, True):
        check(scores, 500, soft, seed=2, free=free)
    assert uniform_links(free, 70, generator=seeded(3)).sum() == 70


@pytest.mark.parametrize("k", [0, 1, 1000, 119_999, 120_000])
def test_even_draws_of_everything(k: int) -> None:
    every = torch.ones(300, 400, dtype=torch.bool)
    plain = plain_links(torch.zeros(300, 400), k, True, seeded(5), every)
    assert torch.equal(uniform_links(every, k, generator=seeded(5)), plain)


def test_torch_makes_exponential_numbers_as_the_shortcut_assumes() -> None:
    assert race._exponential_is_log_of_uniform()


def test_another_torch_would_get_the_race_of_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, every = torch.rand(300, 400, generator=seeded(0)), torch.ones(300, 400, dtype=torch.bool)
    monkeypatch.setattr(race, "_exponential_is_log_of_uniform", lambda: False)
    monkeypatch.setattr(race, "_uniform", lambda *_: pytest.fail("the shortcut was taken"))
    for soft in (False, True):
        check(scores, 1000, soft, seed=6, free=every)
    check(torch.zeros(300, 400), 1000, True, seed=6, free=every)


def test_the_ends_of_the_uniform_numbers() -> None:
    """u = 0 always wins and is no division by zero; the largest u below 1 arrives last."""
    uniform = torch.tensor([0.5, 0.0, 1 - 2.0**-53, 2.0**-53], dtype=torch.float64)
    everyone = np.ones(4, dtype=bool)
    pairs, exponentials = race._contenders(everyone, np.ones(4, dtype=np.float32), uniform.numpy(), 1e15)
    assert pairs.tolist() == [1, 3]
    assert exponentials.tolist() == [1e-300, 2.0**-53]
    pairs, exponentials = race._contenders(everyone, np.ones(4, dtype=np.float32), uniform.numpy(), 0.0)
    assert pairs.tolist() == [0, 1, 2, 3]
    assert exponentials[2] == pytest.approx(53 * math.log(2))
