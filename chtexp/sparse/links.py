"""The links of one layer as lists: the content of a mask, in memory and time proportional to the links.

Shapes: O outputs, I inputs, K links. Links are always in the order of the mask's rows (row-major), unless a name says
`by column`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chtexp.sparse.bits import pack_links
from chtexp.system.kernels_cache import njit, run
from chtexp.topology.neighbours import Degrees
from chtexp.topology.neighbours import links as positions

Indices = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Links:
    """The links of a layer.

    Attributes:
        positions_K: [K] int64, o * I + i of every link, ascending.
        shape: O and I.
    """

    positions_K: Tensor
    shape: tuple[int, int]

    @classmethod
    def of_mask(cls, mask_OI: Tensor) -> Links:
        """List the links of a mask, [O, I] bool."""
        return cls(positions(mask_OI), (mask_OI.shape[0], mask_OI.shape[1]))

    @classmethod
    def all_pairs(cls, shape: tuple[int, int], device: torch.device) -> Links:
        """List every pair of a layer of this shape as a link."""
        return cls(torch.arange(shape[0] * shape[1], device=device), shape)

    def __len__(self) -> int:
        return self.positions_K.numel()

    @classmethod
    def none(cls, shape: tuple[int, int], device: torch.device) -> Links:
        """Make an empty list for a layer of this shape."""
        return cls(torch.empty(0, dtype=torch.long, device=device), shape)

    @property
    def rows_K(self) -> Tensor:
        """[K] int64, the output of every link."""
        return self.positions_K // self.shape[1]

    @property
    def columns_K(self) -> Tensor:
        """[K] int64, the input of every link."""
        return self.positions_K % self.shape[1]

    def only(self, chosen_K: Tensor) -> Links:
        """Return the links that `chosen_K` ([K] bool) marks."""
        return Links(self.positions_K[chosen_K], self.shape)

    def joined(self, others: Links) -> Links:
        """Return these links together with `others`, which must not be among them."""
        if not len(others):
            return self
        if self.positions_K.device.type != "cpu":
            return Links(torch.cat([self.positions_K, others.positions_K]).sort().values, self.shape)
        return Links(torch.from_numpy(run(_merge, self.positions_K, others.positions_K)), self.shape)

    def bits(self) -> Tensor:
        """Return one bit a pair, uint8 [ceil(O * I / 8)], as `chtexp.sparse.bits.pack` does for the mask."""
        return pack_links(self.positions_K, self.shape[0] * self.shape[1])

    def mask(self) -> Tensor:
        """Return the mask, [O, I] bool."""
        mask = torch.zeros(self.shape[0] * self.shape[1], dtype=torch.bool, device=self.positions_K.device)
        mask[self.positions_K] = True
        return mask.view(self.shape)

    def take(self, matrix_OI: Tensor) -> Tensor:
        """Return the entries [K] of a matrix [O, I] at the links."""
        return matrix_OI.reshape(-1)[self.positions_K]

    def put(self, matrix_OI: Tensor, values_K: Tensor) -> None:
        """Write `values_K` [K] into a contiguous matrix [O, I] at the links; the rest stays as it is."""
        matrix_OI.view(-1)[self.positions_K] = values_K

    def find(self, other: Links) -> tuple[Tensor, Tensor]:
        """Find the links of another list in this one.

        Args:
            other: the other list, with L links.

        Returns:
            [L] int64, the place of every link in this list (any place if it is not there), and [L] bool, whether it is there.
        """
        if not len(self):
            nothing = torch.zeros(len(other), dtype=torch.long, device=other.positions_K.device)
            return nothing, nothing.bool()
        if self.positions_K.device.type == "cpu":
            place, there = run(_find, self.positions_K, other.positions_K)
            return torch.from_numpy(place), torch.from_numpy(there)
        place = torch.searchsorted(self.positions_K, other.positions_K).clamp_(max=len(self) - 1)
        return place, self.positions_K[place] == other.positions_K


@dataclass(frozen=True, eq=False)
class Compressed:
    """The same links compressed by row and by column, int32: the lists that products with a sparse matrix read.

    The links of row o are `row_starts[o]:row_starts[o + 1]` of the list by row, those of column i are
    `column_starts[i]:column_starts[i + 1]` of the list by column.

    Attributes:
        shape: O and I.
        row_starts: [O + 1].
        columns_K: [K], the inputs of the links, by row.
        column_starts: [I + 1].
        rows_K: [K], the outputs of the links, by column.
        order_K: [K], their places in the list by row, by column.
    """

    shape: tuple[int, int]
    row_starts: Tensor
    columns_K: Tensor
    column_starts: Tensor
    rows_K: Tensor
    order_K: Tensor

    @classmethod
    def of(cls, links: Links) -> Compressed:
        """Compress a list of links."""
        rows_K, columns_K = links.rows_K, links.columns_K
        column_starts = _starts(columns_K, links.shape[1])
        order_K = _by_column(columns_K, column_starts)
        lists = (_starts(rows_K, links.shape[0]), columns_K, column_starts, rows_K[order_K], order_K)
        return cls(links.shape, *(tensor.to(torch.int32) for tensor in lists))

    @property
    def degrees(self) -> Degrees:
        """How many links every output and every input has."""
        return Degrees(self.row_starts.diff().long(), self.column_starts.diff().long())

    @property
    def links(self) -> Links:
        """The links as a list, made anew: eight bytes a link that training does not need."""
        degrees_O = self.row_starts.diff().long()
        rows_K = torch.arange(self.shape[0], device=degrees_O.device).repeat_interleave(degrees_O)
        return Links(rows_K * self.shape[1] + self.columns_K, self.shape)

    @cached_property
    def by_row(self) -> tuple[Indices, Indices]:
        """(row_starts, columns) for compiled kernels."""
        return _unsigned(self.row_starts), _unsigned(self.columns_K)

    @cached_property
    def by_column(self) -> tuple[Indices, Indices, Indices]:
        """(column_starts, rows, order) for compiled kernels."""
        return _unsigned(self.column_starts), _unsigned(self.rows_K), _unsigned(self.order_K)

    @property
    def bytes(self) -> int:
        """The memory of the lists that are kept during training, in bytes."""
        lists = (self.row_starts, self.columns_K, self.column_starts, self.rows_K, self.order_K)
        return sum(tensor.numel() * tensor.element_size() for tensor in lists)


@njit()
def _find(positions, others):  # type: ignore[no-untyped-def]
    """Both lists ascend, so one pass over both will do (0.1 ms for 25,000 in 25,000; as many binary searches take 1)."""
    place = np.empty(others.size, np.int64)
    there = np.empty(others.size, np.bool_)
    at = 0
    for other in range(others.size):
        while at < positions.size - 1 and positions[at] < others[other]:
            at += 1
        place[other] = at
        there[other] = positions[at] == others[other]
    return place, there


@njit()
def _merge(some, others):  # type: ignore[no-untyped-def]
    merged = np.empty(some.size + others.size, np.int64)
    one, other = 0, 0
    for position in range(merged.size):
        if other == others.size or (one < some.size and some[one] < others[other]):
            merged[position] = some[one]
            one += 1
        else:
            merged[position] = others[other]
            other += 1
    return merged


def _starts(lines_K: Tensor, lines: int) -> Tensor:
    starts = torch.zeros(lines + 1, dtype=torch.long, device=lines_K.device)
    starts[1:] = torch.bincount(lines_K, minlength=lines).cumsum(0)
    return starts


def _by_column(columns_K: Tensor, column_starts: Tensor) -> Tensor:
    """The places of the links in the order of their columns; 0.1 ms for 25,000, where a stable sort takes 1.2."""
    if columns_K.device.type != "cpu":
        return columns_K.argsort(stable=True)
    return torch.from_numpy(run(_counting_sort, columns_K, column_starts))


@njit()
def _counting_sort(columns, starts):  # type: ignore[no-untyped-def]
    free = starts.copy()
    order = np.empty(columns.size, np.int64)
    for link in range(columns.size):
        order[free[columns[link]]] = link
        free[columns[link]] += 1
    return order


def _unsigned(tensor: Tensor) -> Indices:
    """The same memory as uint32: an index that cannot be negative spares a kernel the check (a quarter of its time)."""
    return tensor.numpy().view(np.uint32)
