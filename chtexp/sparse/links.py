"""The links of one layer as lists: what a mask says, in memory and time proportional to the links.

Shapes: O outputs, I inputs, K links. Links are always in the order of the mask's rows (row-major), unless a name says
`by column`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chtexp.topology.compiled import njit, run
from chtexp.topology.neighbours import links as positions


@dataclass(frozen=True, eq=False)
class Links:
    """Where the links of an O x I layer are. positions_K: int64, o * I + i of every link, ascending."""

    positions_K: Tensor
    shape: tuple[int, int]

    @classmethod
    def of_mask(cls, mask_OI: Tensor) -> Links:
        """The links of a bool mask [O, I]."""
        return cls(positions(mask_OI), (mask_OI.shape[0], mask_OI.shape[1]))

    @classmethod
    def all_pairs(cls, shape: tuple[int, int], device: torch.device) -> Links:
        """Every pair of a layer of this shape, linked or not."""
        return cls(torch.arange(shape[0] * shape[1], device=device), shape)

    def __len__(self) -> int:
        return self.positions_K.numel()

    @property
    def rows_K(self) -> Tensor:
        """The output of every link."""
        return self.positions_K // self.shape[1]

    @property
    def columns_K(self) -> Tensor:
        """The input of every link."""
        return self.positions_K % self.shape[1]

    def only(self, chosen_K: Tensor) -> Links:
        """Those of the links that `chosen_K` (bool [K]) marks."""
        return Links(self.positions_K[chosen_K], self.shape)

    def mask(self) -> Tensor:
        """The bool mask [O, I]."""
        mask = torch.zeros(self.shape[0] * self.shape[1], dtype=torch.bool, device=self.positions_K.device)
        mask[self.positions_K] = True
        return mask.view(self.shape)

    def take(self, matrix_OI: Tensor) -> Tensor:
        """The entries [K] of a matrix [O, I] at the links."""
        return matrix_OI.reshape(-1)[self.positions_K]

    def put(self, matrix_OI: Tensor, values_K: Tensor) -> None:
        """Write `values_K` [K] into a contiguous matrix [O, I] at the links; the rest stays as it is."""
        matrix_OI.view(-1)[self.positions_K] = values_K

    def find(self, other: Links) -> tuple[Tensor, Tensor]:
        """For every link of `other`: where it is in this list (any place if it is not), and whether it is there."""
        if not len(self):
            nothing = torch.zeros(len(other), dtype=torch.long, device=other.positions_K.device)
            return nothing, nothing.bool()
        place = torch.searchsorted(self.positions_K, other.positions_K).clamp_(max=len(self) - 1)
        return place, self.positions_K[place] == other.positions_K


@dataclass(frozen=True, eq=False)
class Compressed:
    """The same links compressed by row and by column, int32: what products with a sparse matrix walk along.

    Row o's links are `row_starts[o]:row_starts[o + 1]`, to the inputs `columns_K`. Column i's are
    `column_starts[i]:column_starts[i + 1]` of the lists by column: `rows_K` are their outputs and `order_K` their places
    in the list by row.
    """

    shape: tuple[int, int]
    row_starts: Tensor
    columns_K: Tensor
    column_starts: Tensor
    rows_K: Tensor
    order_K: Tensor

    @classmethod
    def of(cls, links: Links) -> Compressed:
        """The lists of these links."""
        rows_K, columns_K = links.rows_K, links.columns_K
        column_starts = _starts(columns_K, links.shape[1])
        order_K = _by_column(columns_K, column_starts)
        lists = (_starts(rows_K, links.shape[0]), columns_K, column_starts, rows_K[order_K], order_K)
        return cls(links.shape, *(tensor.to(torch.int32) for tensor in lists))

    @property
    def links(self) -> Links:
        """The links, made anew: eight bytes a link that training does not need."""
        degrees_O = self.row_starts.diff().long()
        rows_K = torch.arange(self.shape[0], device=degrees_O.device).repeat_interleave(degrees_O)
        return Links(rows_K * self.shape[1] + self.columns_K, self.shape)

    @cached_property
    def by_row(self) -> tuple[Any, Any]:
        """(row_starts, columns) for compiled kernels."""
        return _unsigned(self.row_starts), _unsigned(self.columns_K)

    @cached_property
    def by_column(self) -> tuple[Any, Any, Any]:
        """(column_starts, rows, order) for compiled kernels."""
        return _unsigned(self.column_starts), _unsigned(self.rows_K), _unsigned(self.order_K)

    @property
    def bytes(self) -> int:
        """Memory of the lists that are kept while training."""
        lists = (self.row_starts, self.columns_K, self.column_starts, self.rows_K, self.order_K)
        return sum(tensor.numel() * tensor.element_size() for tensor in lists)


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


def _unsigned(tensor: Tensor) -> Any:
    """The same memory as uint32: an index that cannot be negative spares a kernel the look (a quarter of its time)."""
    return tensor.numpy().view(np.uint32)
