"""Make sure that a translation data set lies prepared on disk.

Everything is made in a folder of its own beside the place where it belongs, and takes that place in one step: a preparation
that is killed leaves nothing that could be taken for data, and two at once do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chtexp.config.translation import TranslationDataConfig
from chtexp.data.prepare import Log
from chtexp.data.prepared import READ_ONLY, check, publish, read_manifest, write_manifest
from chtexp.data.staging import staging
from chtexp.data.translation.build import build, checksums
from chtexp.data.translation.cache import Manifest, cache_folder, raw_folder
from chtexp.data.translation.download import fetch, locate
from chtexp.data.translation.load import load_translation
from chtexp.data.translation.pairs import TranslationData
from chtexp.errors import UserError


def prepare_translation(
    config: TranslationDataConfig, root: Path | None, log: Log = print, cache: Path | None = None
) -> TranslationData:
    """Make sure that a data set lies prepared on disk, and return it.

    Raw files are looked for in `<root>/<name>` and in the folders of it, and downloaded if they are missing. What is prepared and
    whole stays; what is damaged, or was made from other raw files, is made anew.

    Args:
        config: of the data set.
        root: of the data.
        log: told everything that is done.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: a missing root, folders that cannot be written, files that are missing and cannot be downloaded, or files that
            are not what they should be (with file and line).
    """
    title, raw, folder = config.corpus.title, raw_folder(config, root), cache_folder(config, root, cache)
    reason = _unfit(folder, locate(config.corpus, raw))
    if reason:
        log(f"{title}: {reason}")
        paths = fetch(config.corpus, raw, log)
        with staging(folder.parent, READ_ONLY) as work:
            draft = work / folder.name
            draft.mkdir()
            manifest = build(config, paths, draft, work, log)
            write_manifest(draft, manifest)
            publish(draft, folder, manifest, replaced=work / "replaced")
    data = load_translation(config, root, cache)
    pairs = f"{len(data.train)} training, {len(data.validation)} validation and {len(data.test)} test pairs"
    log(f"{title}: {pairs}, {data.vocabulary.said}, checked, in {folder}")
    return data


def _unfit(folder: Path, raw: Mapping[str, Path]) -> str:
    """Why what lies in `folder` cannot be used; "" if it can. Raw files that are gone are no reason."""
    try:
        manifest = read_manifest(Manifest, folder)
        if manifest is None:
            return f"not prepared yet in {folder}"
        check(folder, manifest, every_byte=True)
    except UserError as error:
        return str(error)
    changed = [name for name, found in checksums(raw).items() if manifest.raw.get(name, found) != found]
    return f"{', '.join(changed)} changed since it was prepared" if changed else ""
