"""What a table asks for: rows, columns and claims, and the results that fill them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chtexp.report.claims import Claim
from chtexp.report.means import MeanOver

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """What stands where. groups: rows by group, which compete within it. reference: the row a star is measured against.

    metric: what is shown where there are no results yet. digits: of the metric, after the point. means: rows compared over
    several columns. claims: orders that the paper reports, each to be checked.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    reference: str | None
    seeds: int
    metric: str = "accuracy"
    digits: int = 2
    means: tuple[MeanOver, ...] = ()
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellResults:
    """The finished runs of one cell. id: the identity of the config that the cell asks for.

    unread: how many more are finished, but lack the evaluation that the cell is read off. changed: the settings in which they
    are not the paper's runs, whatever their budget.
    """

    group: str
    row: str
    column: str
    id: str
    results: tuple[Result, ...]
    unread: int = 0
    changed: tuple[str, ...] = ()


def is_disturbed(result: Result) -> bool | None:
    """Whether its seconds were measured beside other work, or with pauses; None of earlier results, which do not say."""
    beside = result["environment"].get("beside") or {}
    disturbed: bool | None = beside.get("disturbed")
    return disturbed
