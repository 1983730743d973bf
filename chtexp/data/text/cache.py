"""A prepared corpus on disk: where it lies, and what is in it.

`<root>/<name>/prepared-<key>/` holds the tokens of each split, `<split>.<number>.tokens` (flat, little-endian uint16 or uint32,
every document followed by the end-of-text token), where its documents end, `<split>.ends` (int64), the tokenizer, and the
manifest, which is written last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chtexp.config.text import TextDataConfig
from chtexp.config.typed import identity
from chtexp.data.prepared import PreparedManifest, prepared_name, versions
from chtexp.data.text.sources import Raw
from chtexp.errors import UserError

FORMAT = 2  # to be raised when the same text becomes other tokens, or the files change
LIBRARIES = ("tokenizers",)
WHEN_LOADED = ("packing", "sequence_length", "validation_tokens")  # what is prepared is the same


class Manifest(PreparedManifest):
    """What a prepared corpus holds.

    Attributes:
        config: the description that it was made by.
        raw: what the text came from, by name; of a limited corpus, as far as it was read.
        tokenizer: checksum of a given file; None where it is learnt.
        documents: how many, of each split, and those left out by reason.
        tokens: how many, of each split.
        vocabulary: entries of the tokenizer.
        end_of_text: the token that ends a document.
        padding: the token that fills up.
    """

    config: TextDataConfig
    raw: dict[str, Raw]
    tokenizer: str | None
    documents: dict[str, int]
    tokens: Mapping[str, int]
    vocabulary: int
    end_of_text: str
    padding: str


def cache_folder(config: TextDataConfig, root: Path | None, cache: Path | None) -> Path:
    """Find the folder of prepared data.

    Args:
        config: of the corpus.
        root: of the data.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: there is neither.
    """
    base = cache if cache is not None else root
    if base is None:
        raise UserError(
            f"{config.title} needs a data folder: set CHTEXP_DATA or paths.data to one, "
            f"then run 'chtexp prepare data={config.name}'"
        )
    described = identity(config)
    for name in WHEN_LOADED:
        del described[name]
    made = {"format": FORMAT, "config": described, "versions": versions(LIBRARIES)}
    return Path(base).expanduser() / config.name / prepared_name(made)
