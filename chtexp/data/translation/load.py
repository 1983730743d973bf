"""Prepared translation data, mapped from disk: no network, no raw text, nothing read that is not needed.

Shapes: N pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chtexp.data.prepared import check, prepared_otherwise, read_manifest, token_type
from chtexp.data.translation.cache import SIDES, TEXTS, VOCABULARY, Manifest, cache_folder, moses_of
from chtexp.data.translation.config import TranslationDataConfig
from chtexp.data.translation.pairs import Pairs, Sentences, TranslationData
from chtexp.data.translation.vocabulary import Vocabulary, most_entries
from chtexp.errors import UserError


def load_translation(config: TranslationDataConfig, root: Path | None, cache: Path | None = None) -> TranslationData:
    """The data set that `prepare_translation` left below `cache`, or below the data root where that is None.

    Every file's size is compared with the manifest's, and every small file's checksum. Raises `UserError` for data that are not
    prepared as `config` says, and for damaged files; the message names the command that mends it.
    """
    folder = cache_folder(config, root, cache)
    manifest = read_manifest(Manifest, folder)
    if manifest is None:
        advice = "or set paths.data and paths.cache (CHTEXP_DATA, CHTEXP_CACHE) to where it was done"
        raise UserError(
            f"{config.corpus.title} is {prepared_otherwise(folder)}: no {folder}; "
            f"run 'chtexp prepare data={config.name}', {advice}"
        )
    check(folder, manifest, every_byte=False)
    train, validation, test = (_pairs(folder, manifest, split) for split in config.corpus.splits)
    return TranslationData(
        train=train,
        validation=validation,
        test=test,
        vocabulary=Vocabulary.read(folder / VOCABULARY, *moses_of(config)),
        source=_in_words(config, manifest),
    )


def vocabulary_size(config: TranslationDataConfig, root: Path | None, cache: Path | None = None) -> int:
    """Entries of the prepared vocabulary; of data that are not prepared, what it will have at the most."""
    if root is None and cache is None:
        return most_entries(config.merges)
    manifest = read_manifest(Manifest, cache_folder(config, root, cache))
    return manifest.vocabulary if manifest else most_entries(config.merges)


def _pairs(folder: Path, manifest: Manifest, split: str) -> Pairs:
    source, target = (_sentences(folder, f"{split}.{side}", token_type(manifest.vocabulary)) for side in SIDES)
    texts = [_text(folder / f"{split}.{name}") for name in TEXTS] if split != "train" else []
    return Pairs(source, target, *texts)


def _sentences(folder: Path, name: str, kind: np.dtype) -> Sentences:
    # As plain arrays: numpy's memmap class costs more than the look-up itself.
    tokens, starts = (
        np.asarray(np.memmap(folder / f"{name}.{what}", dtype=dtype, mode="r"))
        for what, dtype in (("tokens", kind), ("starts", np.dtype(np.int64)))
    )
    return Sentences(tokens, starts)


def _text(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\n")[:-1]


def _in_words(config: TranslationDataConfig, manifest: Manifest) -> str:
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    case = "lower-cased " if config.lower_case else ""
    return f"raw text, {case}Moses tokens, {manifest.vocabulary} joint sub-words ({libraries})"
