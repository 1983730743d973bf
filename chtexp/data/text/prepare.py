"""Make sure that a corpus lies prepared on disk.

Everything is made in a folder of its own beside the place where it belongs, and takes that place in one step. A preparation that
is interrupted leaves that folder, and the next one goes on from there; a second one at the same time waits for the first.
"""

from __future__ import annotations

from pathlib import Path

from chtexp.config.text import TextDataConfig
from chtexp.data.checksums import checksum
from chtexp.data.prepare import Log
from chtexp.data.prepared import READ_ONLY, check, publish, read_manifest, write_manifest
from chtexp.data.staging import staging, writable
from chtexp.data.text.build import build
from chtexp.data.text.cache import Manifest, cache_folder
from chtexp.data.text.documents import Corpus
from chtexp.data.text.find import find_files, find_sources, require_documents
from chtexp.data.text.load import load_text
from chtexp.data.text.sources import TRAIN, VALIDATION
from chtexp.data.text.stream import TextData
from chtexp.data.text.tokenizer import given_file
from chtexp.errors import UserError
from chtexp.system.locks import locked


def prepare_text(config: TextDataConfig, root: Path | None, log: Log = print, cache: Path | None = None) -> TextData:
    """Make sure that a corpus lies prepared on disk, and return it.

    What is prepared and whole stays; what is damaged, or was made from other files, is made anew. Text is encoded on all cores.

    Args:
        config: of the corpus.
        root: of the data.
        log: told everything that is done.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: a missing root, folders that cannot be written, files that are missing and cannot be streamed, or are a part of
            their set, files that are not what they should be (with file and line or row) or change while they are read, an
            unknown tokenizer, and what `load_text` raises.
    """
    folder = cache_folder(config, root, cache)
    if _unfit(config, root, folder):
        with (
            writable(folder.parent, READ_ONLY),
            locked(
                folder.with_name(f"{folder.name}.lock"), lambda: log(f"{config.title}: another process prepares it")
            ),
        ):
            if reason := _unfit(config, root, folder):  # that process has not done it
                log(f"{config.title}: {reason}")
                _make(config, root, folder, log)
    data = load_text(config, root, cache)
    tokens = f"{len(data.train)} training and {len(data.validation)} validation tokens"
    log(f"{config.title}: {tokens}, {data.vocabulary} sub-words, checked, in {folder}")
    return data


def _make(config: TextDataConfig, root: Path | None, folder: Path, log: Log) -> None:
    draft = folder.with_name(folder.name.replace("prepared", "unfinished"))
    manifest = build(Corpus(config, find_sources(config, root), root), draft, log)
    require_documents(config, manifest.documents[TRAIN], root)
    write_manifest(draft, manifest)
    with staging(folder.parent) as bin:
        publish(draft, folder, manifest, replaced=bin / "replaced")


def _unfit(config: TextDataConfig, root: Path | None, folder: Path) -> str:
    """Why what lies in `folder` cannot be used; "" if it can. Raw files that are gone are no reason."""
    try:
        manifest = read_manifest(Manifest, folder)
        if manifest is None:
            return f"not prepared yet in {folder}"
        check(folder, manifest, every_byte=True)
    except UserError as error:
        return str(error)
    changed = _changed(config, root, manifest)
    return f"{', '.join(changed)} changed since it was prepared" if changed else ""


def _changed(config: TextDataConfig, root: Path | None, manifest: Manifest) -> list[str]:
    """Files that are not what they were, or were not there; of a limited corpus, those beyond its end do not count."""
    given = given_file(config, root) if manifest.tokenizer else None
    changed = [str(given)] if given and checksum(given) != manifest.tokenizer else []
    limited = manifest.documents[TRAIN] == config.documents
    for split in (TRAIN, VALIDATION):
        read = {name: raw for name, raw in manifest.raw.items() if raw.split == split and raw.bytes is not None}
        files = find_files(config, split, root) if read else []  # streamed: files that came later are no reason
        known = [place for place, one in enumerate(files) if one.name in read]
        end = max(known, default=-1) + 1 if limited or not known else len(files)
        changed += [one.name for one in files[:end] if read.get(one.name) != one.raw]
    return changed
