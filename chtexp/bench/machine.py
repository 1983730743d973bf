"""By what a measurement was made, and how many threads it had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import torch

from chtexp.run.environment import environment


class Machine(TypedDict):
    """What measured, and by which code.

    Attributes:
        cpu: the processor's model.
        cores: of the machine.
        threads: of torch.
        gpus: their models.
        system, python, chtexp: versions.
        commit: of the code; None outside a checkout.
        uncommitted_changes: whether the code was changed since.
        versions: of libraries, by name.
        busy_with_others: share of the cores' time, in [0, 1], that other processes took meanwhile; None: not known.
    """

    cpu: str
    cores: int | None
    threads: int
    gpus: list[str]
    system: str
    python: str
    chtexp: str
    commit: str | None
    uncommitted_changes: bool | None
    versions: dict[str, str]
    busy_with_others: float | None


def machine() -> Machine:
    """Describe this machine and this code; what other processes do is left open."""
    here = environment()
    return Machine(
        cpu=here["cpu"],
        cores=here["cores"],
        threads=here["threads"],
        gpus=here["gpus"],
        system=here["system"],
        python=here["python"],
        chtexp=here["chtexp"],
        commit=here["commit"],
        uncommitted_changes=here["uncommitted_changes"],
        versions=here["libraries"],
        busy_with_others=None,
    )


def machine_in_words(found: Machine) -> str:
    """Describe a machine in one line."""
    threads = "1 thread" if found["threads"] == 1 else f"{found['threads']} threads"
    commit = f"commit {found['commit'][:10]}" if found["commit"] else "no commit"
    changed = " with uncommitted changes" if found["uncommitted_changes"] else ""
    return (
        f"{'; '.join([found['cpu'], *found['gpus']])}, {found['cores']} cores, {threads}; "
        f"torch {found['versions']['torch']}, numba {found['versions']['numba']}; {commit}{changed}"
    )


@contextmanager
def torch_threads(wanted: int | None) -> Iterator[None]:
    """Inside, torch has a number of threads.

    Args:
        wanted: how many; None: as many as before.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if wanted is None else wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def devices() -> list[torch.device]:
    """The CPU, and a GPU where torch finds one."""
    return [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
