"""Prepared translation data, mapped from disk: no network, no raw text, nothing read that is not needed.

Shapes: N pairs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chtexp.config.translation import TranslationDataConfig
from chtexp.data.prepared import check, prepared_otherwise, read_manifest, token_type
from chtexp.data.translation.cache import SIDES, TEXTS, VOCABULARY, Manifest, cache_folder
from chtexp.data.translation.pairs import Pairs, Sentences, TranslationData
from chtexp.data.translation.tokenisation import tokenisations_of
from chtexp.data.translation.units import most_subwords
from chtexp.data.translation.vocabulary import Vocabulary
from chtexp.errors import UserError


def load_translation(config: TranslationDataConfig, root: Path | None, cache: Path | None = None) -> TranslationData:
    """Load the data set that `prepare_translation` left on disk.

    Every file's size is compared with the manifest's, and every small file's checksum.

    Args:
        config: of the data set.
        root: of the data.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: data that are not prepared as `config` says, or damaged files; the message names the command that mends it.
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
    vocabulary = Vocabulary.read(folder / VOCABULARY, *tokenisations_of(config))
    train, validation, test = (_pairs(folder, manifest, split) for split in config.corpus.splits)
    return TranslationData(
        train=train,
        validation=validation,
        test=test,
        vocabulary=vocabulary,
        source=_in_words(config, manifest, vocabulary),
    )


def vocabulary_sizes(config: TranslationDataConfig, root: Path | None, cache: Path | None = None) -> tuple[int, int]:
    """The entries of source and target in the prepared vocabulary; of data that are not prepared, what they will be at the most.

    Args:
        config: of the data set.
        root: of the data.
        cache: of prepared data; None: the data root.
    """
    manifest = None
    if root is not None or cache is not None:
        manifest = read_manifest(Manifest, cache_folder(config, root, cache))
    most = config.most_words if config.units == "words" else most_subwords(config.merges)
    return manifest.vocabulary if manifest else (most, most)


def _pairs(folder: Path, manifest: Manifest, split: str) -> Pairs:
    source, target = (
        _sentences(folder, f"{split}.{side}", token_type(size))
        for side, size in zip(SIDES, manifest.vocabulary, strict=True)
    )
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


def _in_words(config: TranslationDataConfig, manifest: Manifest, vocabulary: Vocabulary) -> str:
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    case = "lower-cased " if config.lower_case else ""
    split = {"moses": "Moses tokens", "whitespace": "split at white space"}[config.tokenisation]
    return f"raw text, {case}{split}, {vocabulary.said} ({libraries})"
