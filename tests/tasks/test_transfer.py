"""Batches go to a GPU from pinned memory, without one at hand: what would be copied is noted instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chtexp.build import builder_of
from chtexp.config.run import Run
from chtexp.tasks.transfer import on_device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to tensors from now on; none of it is."""
    log: list[str] = []

    def to(self: torch.Tensor, device: torch.device, non_blocking: bool = False) -> torch.Tensor:
        log.append(f"to {device}" + (", without waiting" if non_blocking else ""))
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: log.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", to)
    return log


def test_only_for_a_gpu_memory_is_pinned(said: list[str]) -> None:
    tokens = torch.arange(3)
    assert on_device(tokens, CPU) is tokens
    assert said == ["to cpu, without waiting"]
    said.clear()
    on_device(tokens, CUDA)
    assert said == ["pinned", "to cuda, without waiting"]


@pytest.mark.parametrize("which", ["small_text", "small_translation"])
def test_the_batches_of_text_are_pinned(which: str, request: pytest.FixtureRequest, said: list[str]) -> None:
    small: Callable[..., Run] = request.getfixturevalue(which)
    run = small()
    task, _ = builder_of(run).task(run.paths.data, CPU)
    task.device = CUDA
    said.clear()
    next(iter(task.batches(0)))
    assert said
    assert set(said[::2]) == {"pinned"}
    assert set(said[1::2]) == {"to cuda, without waiting"}
