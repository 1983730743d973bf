"""Randomness from (seed, what, when): every draw has a name, so no result depends on what ran before it."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *what: str | int) -> int:
    """A 63-bit seed for the draw named by `what`, independent of every other name."""
    name = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *what: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` for the draw named by `what`, e.g. `generator(0, "regrow", "fc1", 1875)`."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *what))
