"""Small image data sets of one's own: folders, .npz files, and folders of the `datasets` library; a cache for each test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_pictures import CLASSES, write_image


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write random images into a folder for each class, below each split if there are any; return the root."""

    def make(
        root: str = "flowers",
        splits: Sequence[str] = (),
        classes: Sequence[str] = CLASSES,
        images: int = 10,
        size: tuple[int, ...] = (6, 5),
        suffix: str = "png",
    ) -> Path:
        here = tmp_path / root
        draws = np.random.default_rng(1)
        for split in splits or [""]:
            for name in classes:
                for number in range(images):
                    array = draws.integers(0, 256, size, dtype=np.uint8)
                    write_image(here / split / name / f"{number}.{suffix}", array)
        return here

    return make


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What a person types for a short training of small images of their own; the cache and the runs are the test's."""
    monkeypatch.setenv("CHTEXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))

    def words(source: str, *overrides: str) -> list[str]:
        small = ["method=set", "method.sparsity=0.5", "model.hidden=[20,20]", "task.batch_size=2", "hardware.threads=1"]
        return [f"data={source}", "budget=smoke", *small, *overrides]

    return words
