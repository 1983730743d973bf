"""By what a measurement was made, and how many threads it had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from chtexp.experiments.environment import environment

SHOWN = ("cpu", "cores", "threads", "gpus", "system", "python", "chtexp", "commit", "uncommitted_changes")


def machine() -> dict[str, Any]:
    """Processor, cores, threads, GPUs, versions, commit."""
    here = environment()
    return {**{key: here[key] for key in SHOWN}, "versions": here["libraries"]}


def machine_in_words(found: dict[str, Any]) -> str:
    """One line of what `machine()` found."""
    threads = "1 thread" if found["threads"] == 1 else f"{found['threads']} threads"
    commit = f"commit {found['commit'][:10]}" if found["commit"] else "no commit"
    changed = " with uncommitted changes" if found["uncommitted_changes"] else ""
    return (
        f"{'; '.join([found['cpu'], *found['gpus']])}, {found['cores']} cores, {threads}; "
        f"torch {found['versions']['torch']}, numba {found['versions']['numba']}; {commit}{changed}"
    )


@contextmanager
def torch_threads(wanted: int | None) -> Iterator[None]:
    """Inside, torch has so many threads (None: as many as before)."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if wanted is None else wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def devices() -> list[torch.device]:
    """The CPU, and a GPU where torch finds one."""
    return [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
