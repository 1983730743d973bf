"""The most memory that a call makes the process hold, beyond what it held before, whichever library took it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")

PROCESS = Path("/proc/self")
RESET_PEAK = "5"  # written to clear_refs; see proc(5)


def peak_of(call: Callable[[], T], device: torch.device) -> tuple[T, int | None]:
    """Measure the most memory that a call makes the process hold, beyond what it held before.

    Args:
        call: what is measured.
        device: whose memory is measured.

    Returns:
        What `call` returns, and bytes; None where the system does not tell (CPUs elsewhere than on Linux).
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return call(), torch.cuda.max_memory_allocated(device) - before
    with suppress(OSError, AttributeError):  # what was freed but kept would be used again, and not show
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
        before = _bytes("VmRSS")
    except OSError:
        return call(), None
    return call(), max(0, _bytes("VmHWM") - before)


def _bytes(entry: str) -> int:
    line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith(f"{entry}:"))
    return 1024 * int(line.split()[1])
