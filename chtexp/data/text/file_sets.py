"""Files that were published together, `train-00003-of-00080.parquet`: how many of them are there?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

NUMBERED = re.compile(r"(?<!\d)(\d{5,})-of-(\d{5,})(?!\d)")


class FileSet(NamedTuple):
    """Files that were published together.

    Attributes:
        name: as a pattern, `c4/en/c4-train.*-of-01024.json.gz`.
        numbers: of the files that are there.
        size: how many were published.
    """

    name: str
    numbers: tuple[int, ...]
    size: int

    @property
    def whole(self) -> bool:
        """Whether all are there."""
        return len(self.numbers) >= self.size

    @property
    def from_the_first_on(self) -> bool:
        """Whether those that are there are the first ones, none of them left out. Some sets count from 1."""
        start = min(self.numbers[0], 1)
        return self.numbers == tuple(range(start, start + len(self.numbers)))


def file_sets(names: Iterable[str]) -> list[FileSet]:
    """Find the sets that these files are of, by folder; files without such a number are of none."""
    found: dict[tuple[str, int], set[int]] = {}
    for name in names:
        path = PurePath(name)
        if one := NUMBERED.search(path.name):
            whole = f"{path.name[: one.start()]}*-of-{one[2]}{path.name[one.end() :]}"
            found.setdefault((str(path.with_name(whole)), int(one[2])), set()).add(int(one[1]))
    return [FileSet(name, tuple(sorted(numbers)), size) for (name, size), numbers in found.items()]


def names_a_set(pattern: str) -> bool:
    """Whether a pattern says which set it takes files of: `*-of-00080.parquet`, and not `*.parquet`."""
    return re.search(r"-of-\d{5,}(?!\d)", PurePath(pattern).name) is not None
