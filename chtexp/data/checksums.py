"""Are the files there, and are they whole? By published checksums, or by those of a manifest.

The manifest, `chtexp-sha256.json`, maps file names to SHA-256 sums. `prepare_images` writes it for files
without a published checksum, so that a later change of a file does not go unseen.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from chtexp.data.published import checksum as checksum
from chtexp.data.published import owner, owner_by_name
from chtexp.data.spec import ImageFiles, ImageSet
from chtexp.errors import Unavailable, UserError

MANIFEST = "chtexp-sha256.json"


class DataError(UserError):
    """Missing or corrupt files.

    Args:
        reason: what is wrong.
        advice: the command that mends it.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


class CorruptData(DataError, Unavailable):
    """Files that are not what was published."""


def missing(spec: ImageSet, root: Path, absent: dict[str, list[str]]) -> DataError:
    """The error for files that are not there.

    Args:
        spec: the data set.
        root: of the data sets.
        absent: the names that each folder should hold, by folder.
    """
    places = (f"{', '.join(names)} in {root / folder}{_held(spec, root / folder)}" for folder, names in absent.items())
    get = (
        f"run 'chtexp prepare data={spec.name}'"
        if spec.torchvision
        else "it cannot be downloaded: copy the files there"
    )
    advice = f"{get}, or set paths.data (or CHTEXP_DATA) to the folder that holds it"
    return DataError(f"{spec.title} not found: no {', nor '.join(places)}", advice)


def _held(spec: ImageSet, folder: Path) -> str:
    """In words, which other data sets a folder holds files of, if any."""
    owners = {owner_by_name(path) for path in folder.glob("*")} - {spec.title, None}
    return f" (which holds files of {', '.join(sorted(map(str, owners)))})" if owners else ""


def corrupt(spec: ImageSet, path: Path, expected: object, found: object) -> DataError:
    """The error for a file that is not what it should be; a file of another known data set is called so.

    Args:
        spec: the data set.
        path: the file.
        expected: what it should hold.
        found: what it holds.
    """
    other = owner(path)
    if other not in (None, spec.title):
        return foreign(spec, path, str(other), expected, found)
    return CorruptData(f"{path} is corrupt: expected {expected}, found {found}", _mending(spec))


def foreign(spec: ImageSet, path: Path, other: str, expected: object, found: object) -> DataError:
    """The error for a file of another data set.

    Args:
        spec: the data set that it should be of.
        path: the file.
        other: the title of the data set that it is of.
        expected: what it should hold.
        found: what it holds.
    """
    seen = f"expected {expected} in {path.name}, found {found}"
    return DataError(f"{path.parent} holds files of {other}, not of {spec.title}: {seen}", _mending(spec))


def _mending(spec: ImageSet) -> str:
    if spec.torchvision:
        return f"run 'chtexp prepare data={spec.name}' to mend it"
    return "it cannot be downloaded: copy its files there again"


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose name matches `pattern`, sorted; none if there is no such folder."""
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def find_source(spec: ImageSet, root: Path) -> ImageFiles:
    """Find the first source of a data set whose files are all there.

    Args:
        spec: the data set.
        root: of the data sets.

    Raises:
        DataError: no source has all its files.
    """
    absent = {}
    for source in spec.sources:
        absent[source.folder] = [name for name in source.files() if not matching(root / source.folder, name)]
        if not absent[source.folder]:
            return source
    raise missing(spec, root, absent)


def verify(spec: ImageSet, source: ImageFiles, root: Path) -> None:
    """Compare every file of a source with its published checksum, or else with the manifest's, if there is one.

    Args:
        spec: the data set.
        source: of its files.
        root: of the data sets.

    Raises:
        DataError: a checksum differs; the message names the file, the checksum expected and the one found.
    """
    folder = root / source.folder
    noted = read_manifest(spec, folder)
    for pattern, published in source.files().items():
        for path in matching(folder, pattern):
            expected = published or noted.get(path.name)
            if expected is None:
                if (other := owner(path)) not in (None, spec.title):
                    raise foreign(spec, path, str(other), f"a file of {spec.title}", f"one of {other}")
            else:
                found = checksum(path, algorithm=expected.partition(":")[0])
                if found != expected:
                    raise corrupt(spec, path, expected, found)


def read_manifest(spec: ImageSet, folder: Path) -> dict[str, str]:
    """Read the checksums noted beside the files.

    Args:
        spec: the data set.
        folder: of its files.

    Returns:
        Checksums by name; none without a manifest.

    Raises:
        DataError: the manifest is broken.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        noted = json.loads(path.read_bytes())
        return {str(name): f"sha256:{digest}" for name, digest in noted.items()}
    except (ValueError, AttributeError) as error:
        raise corrupt(spec, path, "a JSON object of file names and SHA-256 sums", error) from None


def unnoted(source: ImageFiles, folder: Path) -> list[Path]:
    """The files of a source that have no published checksum: those that the manifest is for."""
    patterns = [pattern for pattern, published in source.files().items() if published is None]
    return [path for pattern in patterns for path in matching(folder, pattern)]


def write_manifest(folder: Path, paths: list[Path]) -> None:
    """Write the manifest of `paths` into `folder`, in one step: a reader sees the old one or the new one."""
    sums = {path.name: checksum(path).removeprefix("sha256:") for path in paths}
    draft = folder / f"{MANIFEST}.{os.getpid()}"
    draft.write_text(json.dumps(sums, indent=2) + "\n")
    draft.replace(folder / MANIFEST)


def check_split(spec: ImageSet, path: Path, examples: int, images: Tensor, labels: Tensor) -> None:
    """Check the images and labels of a split.

    Args:
        spec: the data set.
        path: the file that the message names.
        examples: images that the split has, N.
        images: should be uint8 [N, C, H, W].
        labels: should be [N], from 0 to the number of classes - 1.

    Raises:
        DataError: they are not as `spec` says.
    """
    expected = (examples, *spec.shape)
    if tuple(images.shape) != expected or images.dtype != torch.uint8:
        raise corrupt(spec, path, f"uint8 images {list(expected)}", f"{images.dtype} {list(images.shape)}")
    if tuple(labels.shape) != (examples,):
        raise corrupt(spec, path, f"{examples} labels", f"{list(labels.shape)}")
    low, high = (int(value) for value in labels.aminmax())
    if low < 0 or high >= spec.classes:
        raise corrupt(spec, path, f"labels 0..{spec.classes - 1}", f"{low}..{high}")
