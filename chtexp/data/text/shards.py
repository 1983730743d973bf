"""The tokens of a split on disk: one flat stream, cut into files of the same size, and where its documents end.

Shapes: T tokens, N documents.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

SHARD = 1 << 26  # tokens of every file but the last: 128 MiB of uint16
PLACE = np.dtype("<i8")  # in the stream


class ShardWriter:
    """Appends to the stream of a split. What was written beyond its first `tokens` is forgotten.

    Args:
        folder: of the files.
        split: that the tokens are of.
        kind: the type of the tokens on disk.
        tokens: that the stream has.

    Raises:
        ValueError: the files hold fewer than `tokens`.
    """

    def __init__(self, folder: Path, split: str, kind: np.dtype, tokens: int = 0) -> None:
        self._folder, self._split, self._kind = folder, split, kind
        self._file: BinaryIO | None = None
        self.tokens = tokens
        self._forget_the_rest()

    @property
    def whole_shards(self) -> int:
        """The number of files that will not change any more."""
        return self.tokens // SHARD

    def append(self, tokens_T: np.ndarray) -> None:
        """Write tokens, int [T]."""
        rest = tokens_T
        while len(rest):
            room = SHARD - self.tokens % SHARD
            self._open().write(rest[:room].astype(self._kind).tobytes())
            self.tokens += len(rest[:room])
            rest = rest[room:]
            if self.tokens % SHARD == 0:
                self.close()

    def settle(self) -> None:
        """Let what was written survive a loss of power."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, for now."""
        if self._file is not None:
            self.settle()
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = self._path(self.whole_shards).open("ab")
        return self._file

    def _path(self, shard: int) -> Path:
        return self._folder / f"{self._split}.{shard:05d}.tokens"

    def _forget_the_rest(self) -> None:
        whole, begun = divmod(self.tokens, SHARD)
        sizes = {self._path(shard): SHARD * self._kind.itemsize for shard in range(whole)}
        if begun:
            sizes[self._path(whole)] = begun * self._kind.itemsize
        for path, size in sizes.items():
            if not path.is_file() or path.stat().st_size < size:
                raise ValueError(f"{path} lacks tokens")
            os.truncate(path, size)
        for path in set(self._folder.glob(f"{self._split}.*.tokens")) - set(sizes):
            path.unlink()


def shards(folder: Path, split: str, kind: np.dtype) -> list[np.ndarray]:
    """Map the files of a split from disk, in their order: [T_s] each."""
    paths = sorted(folder.glob(f"{split}.*.tokens"))
    # As plain arrays: numpy's memmap class costs more than the look-up itself.
    return [np.asarray(np.memmap(path, kind, mode="r")) for path in paths]


def write_ends(folder: Path, split: str, kind: np.dtype, end_of_text: int) -> None:
    """Write down the place behind the last token of every document, int64 [N].

    Args:
        folder: of the files.
        split: that the tokens are of.
        kind: the type of the tokens on disk.
        end_of_text: the id that ends a document; text never encodes to it.
    """
    first = 0
    with _ends(folder, split).open("wb") as file:
        for shard_T in shards(folder, split, kind):
            file.write((np.flatnonzero(shard_T == end_of_text) + first + 1).astype(PLACE).tobytes())
            first += len(shard_T)


def read_ends(folder: Path, split: str) -> np.ndarray:
    """Map what `write_ends` wrote from disk: int64 [N]."""
    path = _ends(folder, split)
    return np.asarray(np.memmap(path, PLACE, mode="r")) if path.stat().st_size else np.empty(0, PLACE)


def _ends(folder: Path, split: str) -> Path:
    return folder / f"{split}.ends"
