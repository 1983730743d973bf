"""The processes that share one training, and what they tell each other.

Rank 0 leads: it decides, the others follow. Tensors travel on their own device (gloo on the CPU, NCCL between GPUs); what is
no tensor travels on the CPU, so that no GPU waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# Rank 0 alone works on a topology, and writes checkpoints; the others wait. Who dies is seen at once, and not by this.
PATIENCE = timedelta(hours=2)


class Processes:
    """rank: of this process, from 0. world: how many there are. One process alone tells itself everything, at no cost."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    @property
    def leads(self) -> bool:
        """Whether this process decides."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all processes, in place."""
        return self.sum(tensor).div_(self.world) if self.world > 1 else tensor

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Of each number the largest over all processes."""
        if self.world == 1:
            return list(numbers)
        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return [int(number) for number in tensor]

    def led(self, tensor: Tensor) -> Tensor:
        """The leader's tensor, in place; shape and type are the same everywhere."""
        if self.world > 1:
            dist.broadcast(tensor, src=0)
        return tensor

    def told(self, value: Any) -> Any:
        """The leader's value, whatever can be pickled; that of others is ignored."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def agree(self, what: str, tensors: Sequence[Tensor]) -> None:
        """Raise RuntimeError unless `tensors` hold the same bytes everywhere; they are compared by hash."""
        if self.world == 1:
            return
        digest = hashlib.blake2b(digest_size=16)
        for tensor in tensors:
            digest.update(tensor.cpu().numpy().tobytes())
        digests = self.gathered(digest.hexdigest())
        others = [rank for rank, found in enumerate(digests) if found != digests[0]]
        if others:
            raise RuntimeError(f"{what} differ between rank 0 and rank {', '.join(map(str, others))}")


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started this one with; RANK, WORLD_SIZE and the like are in the environment.

    Left by an error, the group stays as it is: a process that failed must not wait for others, as taking it down may.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    yield Processes(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()
