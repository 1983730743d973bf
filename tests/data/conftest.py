"""Shared by the tests of the data sets: the real files, small files in the same formats, and no network."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from chtexp.data import IMAGE_SETS, ImageData, ImageSet, load_images
from chtexp.data.checksums import DataError, find_source

TRAIN, TEST = 10, 4  # images in the small files


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this machine can be reached."""
    resolve = socket.getaddrinfo

    def only_here(host, *rest, **options):
        if host != "127.0.0.1":
            raise socket.gaierror(f"no network: {host}")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)


@pytest.fixture(scope="session")
def real_images() -> Callable[[str], ImageData]:
    """Load a real data set, once a session; skip where its files are not at hand."""

    @cache
    def load(name: str) -> ImageData:
        root = os.environ.get("CHTEXP_DATA")
        if not root:
            pytest.skip("CHTEXP_DATA is not set: no real data here")
        try:
            find_source(IMAGE_SETS[name], Path(root))
        except DataError as error:
            pytest.skip(f"CHTEXP_DATA does not hold it: {error.reason}")
        return load_images(name, Path(root))

    return load


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ImageSet]:
    """Make a data set expect the small counts of the small files, and no checksum of the real ones.

    Those of CIFAR stay: `cifar_files` publishes checksums of small files.
    """

    def shrunk(name: str) -> ImageSet:
        spec = IMAGE_SETS[name]
        sources = tuple(
            source if "cifar" in name else replace(source, files=partial(dict.fromkeys, source.files()))
            for source in spec.sources
        )
        spec = replace(spec, train_examples=TRAIN, test_examples=TEST, sources=sources)
        monkeypatch.setitem(IMAGE_SETS, name, spec)
        return spec

    return shrunk


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx_files() -> Callable[..., dict[str, np.ndarray]]:
    """Write the four IDX files of a small data set (gzipped if asked), and return their arrays by name."""

    def write(folder: Path, train: str, test: str, classes: int, zipped: bool = False) -> dict[str, np.ndarray]:
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(0)
        arrays = {}
        for prefix, count in ((train, TRAIN), (test, TEST)):
            arrays[f"{prefix}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            arrays[f"{prefix}-labels-idx1-ubyte"] = random.integers(0, classes, count, dtype=np.uint8)
        for name, array in arrays.items():
            content = idx_bytes(array)
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (folder / name).write_bytes(content)
        return arrays

    return write


@pytest.fixture
def cifar_files(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], dict[str, dict]]:
    """Write the small pickles of a CIFAR set, with checksums as if published; return the batches."""
    from torchvision import datasets

    def write(folder: Path, kind: str) -> dict[str, dict]:
        folder.mkdir(parents=True, exist_ok=True)
        layout = getattr(datasets, kind)
        random = np.random.default_rng(1)
        label_key = "fine_labels" if kind == "CIFAR100" else "labels"
        batches: dict[str, dict] = {}
        listed: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
        for attribute, total in (("train_list", TRAIN), ("test_list", TEST)):
            names = [name for name, _ in getattr(layout, attribute)]
            count = total // len(names)
            for name in names:
                batches[name] = {
                    "data": random.integers(0, 256, (count, 3072), dtype=np.uint8),
                    label_key: random.integers(0, 10, count).tolist(),
                }
                listed[attribute].append([name, _pickled(folder / name, batches[name])])
        meta = {**layout.meta, "md5": _pickled(folder / layout.meta["filename"], {layout.meta["key"]: ["a"]})}
        for attribute, pairs in listed.items():
            monkeypatch.setattr(layout, attribute, pairs)
        monkeypatch.setattr(layout, "meta", meta)
        return batches

    return write


def _pickled(path: Path, content: object) -> str:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return md5(path)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
