"""Fetch, check and mend the image data sets: the only place of this package that uses the network.

A download goes into a fresh folder inside the data root, is checked there, and only then moved into place:
a broken connection leaves what was there untouched, and a corrupt file is replaced by a whole one.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import shutil
import socket
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from chtexp.data.checksums import MANIFEST, DataError, find_source, unnoted, write_manifest
from chtexp.data.images import data_root, image_set, load_images
from chtexp.data.spec import ImageData, ImageSet
from chtexp.data.staging import staging
from chtexp.errors import Unavailable

if TYPE_CHECKING:
    from torchvision.datasets import VisionDataset

TIMEOUT = 30.0  # seconds without an answer after which a server is given up
CONNECTION_ERRORS = (OSError, RuntimeError, HTTPException)
ARCHIVE_ERRORS = (EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)

Log = Callable[[str], object]


def prepare_images(name: str, root: Path | None, log: Log = print) -> ImageData:
    """Make sure that an image data set lies whole below a root, and return it.

    Files that are missing or corrupt are downloaded by torchvision, if it knows the data set. For files without a published
    checksum a manifest of their SHA-256 sums is written beside them, so that later changes are seen.

    Args:
        name: one of IMAGE_SETS.
        root: of the data sets.
        log: told everything that is done.

    Returns:
        Images uint8 [N, C, H, W] and labels int64 [N] of each split.

    Raises:
        UserError: an unknown name, a missing root, a folder that cannot be written, a download that fails (naming the address and
            the reason), or files that are not whole and cannot be downloaded.
    """
    spec = image_set(name)
    folder = data_root(spec, root)
    if not any(source.files() for source in spec.sources):
        data = load_images(name, root)
        log(f"{spec.title}: comes with a library ({data.source}), there is nothing to do")
        return data
    try:
        data = load_images(name, folder)
    except DataError as error:
        if spec.torchvision is None:
            raise
        log(error.reason)
        data = _fetch(spec, folder, log)
    _note_checksums(spec, folder, log)
    splits = f"{len(data.train_images)} train and {len(data.test_images)} test images"
    log(f"{spec.title}: {splits}, checked, from {data.source} in {folder / find_source(spec, folder).folder}")
    return data


def _fetch(spec: ImageSet, root: Path, log: Log) -> ImageData:
    """Download into a fresh folder, check, move into place."""
    source = spec.sources[0]
    names = list(source.files())
    target = root / source.folder
    with staging(root) as draft:
        _lend_archives(spec, root, draft)
        log(f"{spec.title}: fetching from {_address(spec)}")
        _download(spec, draft, by_hand=f"{', '.join(names)} into {target}")
        data = load_images(spec.name, draft)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.move(draft / source.folder / name, target / name)
    (target / MANIFEST).unlink(missing_ok=True)
    return data


def _lend_archives(spec: ImageSet, root: Path, draft: Path) -> None:
    """Link archives that already lie where torchvision puts them, so that those need no download."""
    folder = root / spec.sources[0].folder
    for archive in (*root.glob("*.gz"), *folder.glob("*.gz"), *folder.glob("*.zip")):
        link = draft / archive.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(archive.resolve())


def _download(spec: ImageSet, draft: Path, by_hand: str) -> None:
    """Let torchvision download into `draft`. Raises `Unavailable` with address and reason if it cannot."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickles and old archive calls
            _torchvision_class(spec)(draft, download=True, **spec.options)
    except (*CONNECTION_ERRORS, *ARCHIVE_ERRORS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        failure = f"could not download {spec.title} from {_address(spec)}: {reason}"
        raise Unavailable(f"{failure}; without a network, copy {by_hand}") from None
    finally:
        socket.setdefaulttimeout(patience)


def _torchvision_class(spec: ImageSet) -> type[VisionDataset]:
    from torchvision import datasets

    found: type[VisionDataset] = getattr(datasets, str(spec.torchvision))
    return found


def _address(spec: ImageSet) -> str:
    """Where torchvision fetches a data set from."""
    kind = _torchvision_class(spec)
    return str(kind.url) if hasattr(kind, "url") else " or ".join(kind.mirrors)


def _note_checksums(spec: ImageSet, root: Path, log: Log) -> None:
    """Write the manifest of the files that have no published checksum, unless there is one."""
    source = find_source(spec, root)
    folder = root / source.folder
    paths = unnoted(source, folder)
    if not paths or (folder / MANIFEST).exists():
        return
    try:
        write_manifest(folder, paths)
        log(f"{spec.title}: wrote the checksums of {len(paths)} files to {folder / MANIFEST}")
    except OSError as error:
        log(f"{spec.title}: could not write {folder / MANIFEST}: {error.strerror}")
