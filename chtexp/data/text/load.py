"""A prepared corpus, mapped from disk: no network, no raw text, nothing read that is not needed."""

from __future__ import annotations

from pathlib import Path

from chtexp.config.text import TextDataConfig
from chtexp.data.checksums import checksum
from chtexp.data.prepared import check, prepared_otherwise, read_manifest, token_type
from chtexp.data.spec import stand_in_data
from chtexp.data.text.beginnings import Beginnings
from chtexp.data.text.cache import Manifest, cache_folder
from chtexp.data.text.file_sets import file_sets
from chtexp.data.text.shards import read_ends, shards
from chtexp.data.text.sources import TRAIN, VALIDATION
from chtexp.data.text.stream import Sequences, TextData, TokenStream
from chtexp.data.text.tokenizer import TOKENIZER, TextTokenizer, given_file
from chtexp.errors import UserError


def load_text(config: TextDataConfig, root: Path | None, cache: Path | None = None) -> TextData:
    """Load the corpus that `prepare_text` left on disk.

    Every file's size is compared with the manifest's, and every small file's checksum.

    Args:
        config: of the corpus.
        root: of the data.
        cache: of prepared data; None: the data root.

    Raises:
        UserError: data that are not prepared as `config` says, damaged files, or a split that is too small for one sequence.
    """
    folder = cache_folder(config, root, cache)
    manifest = read_manifest(Manifest, folder)
    if manifest is None:
        advice = "or set paths.data and paths.cache (CHTEXP_DATA, CHTEXP_CACHE) to where it was done"
        raise UserError(
            f"{config.title} is {prepared_otherwise(folder)}: no {folder}; "
            f"run 'chtexp prepare data={config.name}', {advice}"
        )
    check(folder, manifest, every_byte=False)
    _check_tokenizer(config, root, manifest)
    train, validation = (_sequences(config, manifest, folder, split) for split in (TRAIN, VALIDATION))
    return TextData(
        train=train,
        validation=validation,
        tokenizer=TextTokenizer.read(folder / TOKENIZER, manifest.end_of_text, manifest.padding),
        source=_in_words(config, manifest),
        deviations=stand_in_data(_title(config, manifest)) if config.stand_in or _parts(manifest) else (),
    )


def vocabulary_size(config: TextDataConfig, root: Path | None, cache: Path | None = None) -> int:
    """The entries of the prepared tokenizer; of data that are not prepared, what it will have at the most.

    Args:
        config: of the corpus.
        root: of the data.
        cache: of prepared data; None: the data root.
    """
    if root is None and cache is None:
        return config.vocabulary
    manifest = read_manifest(Manifest, cache_folder(config, root, cache))
    return manifest.vocabulary if manifest else config.vocabulary


def _check_tokenizer(config: TextDataConfig, root: Path | None, manifest: Manifest) -> None:
    """Only its name tells runs apart: raise `UserError` where another tokenizer lies in the place of the one used."""
    file = given_file(config, root)
    if file is not None and manifest.tokenizer is not None and (found := checksum(file)) != manifest.tokenizer:
        raise UserError(
            f"{config.title} was prepared with another {config.tokenizer}: {file} has {found}, that one had "
            f"{manifest.tokenizer}; put it back, or give this one another name (data.tokenizer) and prepare again"
        )


def _sequences(config: TextDataConfig, manifest: Manifest, folder: Path, split: str) -> Sequences:
    tokens = shards(folder, split, token_type(manifest.vocabulary))
    most = config.validation_tokens if split == VALIDATION else None
    packed = TokenStream(tokens, most)
    if config.packing == "stream":
        sequences: Sequences = packed
    else:
        documents = Beginnings(TokenStream(tokens), read_ends(folder, split))
        sequences = documents if most is None else documents.first(most, config.sequence_length)
    if not sequences.sequences(config.sequence_length):
        raise UserError(
            f"{config.title} has {len(packed)} {split} tokens, too few for one sequence of {config.sequence_length} and its "
            "target; take a smaller data.sequence_length, or more text"
        )
    return sequences


def _in_words(config: TextDataConfig, manifest: Manifest) -> str:
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    tokenizer = "byte-level sub-words learnt from it" if config.learnt else f"sub-words of {config.tokenizer}"
    if manifest.tokenizer is not None:
        tokenizer += f" ({manifest.tokenizer.removeprefix('sha256:')[:12]})"
    size = f"{manifest.documents[TRAIN]} documents, {manifest.tokens[TRAIN]} tokens"
    if config.packing == "document":
        size += f" (of each document the first {config.sequence_length + 1})"
    title = _title(config, manifest)
    return f"{title}: {size}, {manifest.vocabulary} {tokenizer} ({libraries})"


def _title(config: TextDataConfig, manifest: Manifest) -> str:
    parts = _parts(manifest)
    return f"{config.title} ({', '.join(parts)})" if parts else config.title


def _parts(manifest: Manifest) -> list[str]:
    """Of which sets of files only a part is there, and how much."""
    return [
        f"{len(one.numbers)} of {one.size} {word} files"
        for split, word in ((TRAIN, "training"), (VALIDATION, "validation"))
        for one in file_sets(name for name, raw in manifest.raw.items() if raw.split == split)
        if not one.whole
    ]
