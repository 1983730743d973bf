"""A prepared data set on disk: where it lies, what is in it, and whether it is whole.

`<root>/<name>/prepared-<key>/` holds, for every split, `<split>.<side>.tokens` (flat, uint16 or uint32) and
`<split>.<side>.starts` (int64); for validation and test the raw text of both sides and the references as Moses tokens; the
vocabulary of both languages; and the manifest, which is written last. The key is a hash of the description and of the
libraries that tokenise.

Shapes: N pairs.
"""

from __future__ import annotations

from pathlib import Path

from chtexp.config.translation import TranslationDataConfig
from chtexp.config.typed import identity
from chtexp.data.prepared import PreparedManifest, prepared_name, versions
from chtexp.errors import UserError

FORMAT = 2  # to be raised when the same text becomes other tokens, or the files change
LIBRARIES = ("tokenizers", "sacremoses")
VOCABULARY = "vocabulary.json"
SIDES = ("source", "target")
TEXTS = ("source.txt", "target.txt", "target.pipeline.txt")


class Manifest(PreparedManifest):
    """What a prepared data set holds.

    Attributes:
        config: the description that it was made by.
        raw: checksums of the files that the text came from.
        pairs: of every split.
        dropped: training pairs left out.
        tokens: of the training pairs, both sides, ends of sentence included.
        vocabulary: entries of source and target.
    """

    config: TranslationDataConfig
    raw: dict[str, str]
    pairs: dict[str, int]
    dropped: int
    tokens: int
    vocabulary: tuple[int, int]


def raw_folder(config: TranslationDataConfig, root: Path | None) -> Path:
    """Find the folder of the raw files.

    Args:
        config: of the data set.
        root: of the data.

    Raises:
        UserError: there is no data root.
    """
    if root is None:
        raise UserError(
            f"{config.corpus.title} needs a data folder: set CHTEXP_DATA or paths.data to one, "
            f"then run 'chtexp prepare data={config.name}'"
        )
    return Path(root).expanduser() / config.name


def cache_folder(config: TranslationDataConfig, root: Path | None, cache: Path | None) -> Path:
    """Find the folder of prepared data.

    Args:
        config: of the data set.
        root: of the data.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: there is neither.
    """
    described = {"format": FORMAT, "config": identity(config), "versions": versions(LIBRARIES)}
    return raw_folder(config, cache if cache is not None else root) / prepared_name(described)
