"""The raw files of a corpus: where they lie, and how those that are missing are fetched."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from chtexp.config.corpora import Corpus, Download
from chtexp.data.prepare import TIMEOUT, Log
from chtexp.data.staging import staging
from chtexp.errors import Unavailable, UserError


def locate(corpus: Corpus, folder: Path) -> dict[str, Path]:
    """Find the files of a corpus in a folder or in a folder of it, plain or gzipped.

    Returns:
        The path of every file found, by its name.
    """
    patterns = ("{}", "{}.gz", "*/{}", "*/{}.gz")
    found = {
        name: [p for pattern in patterns for p in sorted(folder.glob(pattern.format(name)))] for name in corpus.files()
    }
    return {name: paths[0] for name, paths in found.items() if paths}


def fetch(corpus: Corpus, folder: Path, log: Log) -> dict[str, Path]:
    """Find every file of a corpus, the missing ones downloaded. A download is moved into place once it is whole.

    Args:
        corpus: the corpus.
        folder: of its raw files.
        log: told everything that is done.

    Returns:
        The path of every file, by its name.

    Raises:
        UserError: there is nowhere to download them from, or that fails; the message names the files and the folder.
    """
    missing = _missing(corpus, folder)
    if missing and not corpus.downloads:
        advice = f"{corpus.by_hand}, and put its files into {folder}"
        raise UserError(f"{corpus.title} cannot be downloaded and lacks {_listed(missing)}; {advice}")
    for download in corpus.downloads:
        if wanted := [name for name in missing if name in _gives(download)]:
            log(f"{corpus.title}: fetching {', '.join(wanted)} from {download.address}")
            with staging(folder) as draft:
                for path in _download(corpus, folder, download, wanted, draft):
                    shutil.move(path, folder / path.name)
    return locate(corpus, folder)


def _missing(corpus: Corpus, folder: Path) -> list[str]:
    found = locate(corpus, folder)
    return [name for name in corpus.files() if name not in found]


def _gives(download: Download) -> tuple[str, ...]:
    """The names of the files that a download brings."""
    return download.members or (download.address.rpartition("/")[2].removesuffix(".gz"),)


def _download(corpus: Corpus, folder: Path, download: Download, wanted: list[str], draft: Path) -> list[Path]:
    """The wanted files in `draft`."""
    whole = draft / download.address.rpartition("/")[2]
    try:
        _get(download.address, whole)
        return _unpack(whole, wanted) if download.members else [whole]
    except (OSError, HTTPException, tarfile.TarError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        failure = f"could not download {corpus.title} from {download.address}: {reason}"
        raise Unavailable(
            f"{failure}; without a network, put {_listed(_missing(corpus, folder))} into {folder}"
        ) from None


def _get(address: str, path: Path) -> None:
    try:
        with urlopen(address, timeout=TIMEOUT) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except HTTPError as error:
        error.close()  # it holds the connection
        raise


def _unpack(archive: Path, wanted: list[str]) -> list[Path]:
    """The members of a tar archive that have the wanted names, whatever folder of it they are in."""
    with tarfile.open(archive) as packed:
        members = {Path(member.name).name: member for member in packed.getmembers() if member.isfile()}
        if absent := [name for name in wanted if name not in members]:
            raise tarfile.TarError(f"the archive lacks {_listed(absent)}")
        for name in wanted:
            content = packed.extractfile(members[name])
            assert content is not None  # it is a file
            with content, (archive.parent / name).open("wb") as file:
                shutil.copyfileobj(content, file)
    return [archive.parent / name for name in wanted]


def _listed(names: list[str]) -> str:
    return ", ".join(names)
