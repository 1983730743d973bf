"""The processes that share one training, and the collective operations between them.

Rank 0 is the leader: it decides, and the others follow. Tensors are sent from their own device (gloo on the CPU, NCCL between
GPUs). Other objects are sent from the CPU, so that no GPU waits for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

# The timeout of every operation: the others wait while the leader works on a topology or writes a checkpoint. A process that
# dies is noticed at once, without it.
PATIENCE = timedelta(hours=2)
Value = TypeVar("Value")


class Processes:
    """A group of processes, seen from one of them. With a single process no operation costs anything.

    Args:
        rank: the number of this process, from 0.
        world: the number of processes.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    @property
    def leads(self) -> bool:
        """Whether this process is the leader."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over all processes, in place.

        Args:
            tensor: of any shape, the same in every process.

        Returns:
            The same tensor, which now holds the sum.
        """
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """Average a tensor over all processes, in place.

        Args:
            tensor: of any shape, the same in every process.

        Returns:
            The same tensor, which now holds the mean.
        """
        return self.sum(tensor).div_(self.world) if self.world > 1 else tensor

    def all_max(self, numbers: Sequence[int]) -> list[int]:
        """Find the maximum of every number over all processes.

        Args:
            numbers: as many in every process.

        Returns:
            The maximum of each, in the same order.
        """
        if self.world == 1:
            return list(numbers)
        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return [int(number) for number in tensor]

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Overwrite a tensor with the leader's, in place.

        Args:
            tensor: of any shape and type, the same in every process.

        Returns:
            The same tensor, which now holds the leader's values.
        """
        if self.world > 1:
            dist.broadcast(tensor, src=0)
        return tensor

    def broadcast_object(self, value: object) -> object:
        """Send an object from the leader to all processes.

        Args:
            value: any object that can be pickled; ignored in all processes but the leader.

        Returns:
            The leader's value.
        """
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def all_gather(self, value: Value) -> list[Value]:
        """Collect one object of every process.

        Args:
            value: any object that can be pickled.

        Returns:
            The values of all processes, in the order of their ranks.
        """
        values = [value] * self.world  # those of other processes are written over
        if self.world > 1:
            dist.all_gather_object(values, value)
        return values

    def assert_equal(self, what: str, tensors: Sequence[Tensor]) -> None:
        """Check that tensors hold the same bytes in all processes, by comparing hashes.

        Args:
            what: a plural noun for the tensors, which begins the error message.
            tensors: of any shapes and types.

        Raises:
            RuntimeError: the tensors of some process differ from the leader's.
        """
        if self.world == 1:
            return
        digest = hashlib.blake2b(digest_size=16)
        for tensor in tensors:
            digest.update(tensor.cpu().numpy().tobytes())
        digests = self.all_gather(digest.hexdigest())
        others = [rank for rank, found in enumerate(digests) if found != digests[0]]
        if others:
            raise RuntimeError(f"{what} differ between rank 0 and rank {', '.join(map(str, others))}")


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started together, as RANK, WORLD_SIZE and other environment variables describe them.

    After an error the group is not destroyed: destroying it may wait for other processes, and one that failed must not wait.

    Args:
        device: where this process trains; it decides the backend.

    Yields:
        The group.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    yield Processes(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()
