"""From raw files to the files of a prepared data set: clean, tokenise, learn a vocabulary, encode.

Text passes through in chunks; of the training pairs no more than that is in memory. The same text and libraries give the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from chtexp.config.corpora import CorpusPart
from chtexp.config.translation import Cleaning, TranslationDataConfig
from chtexp.data.checksums import checksum
from chtexp.data.prepare import Log
from chtexp.data.prepared import store, token_type, versions
from chtexp.data.translation.cache import LIBRARIES, SIDES, TEXTS, VOCABULARY, Manifest
from chtexp.data.translation.moses import CHUNK, chunked, tokenise_pairs
from chtexp.data.translation.raw import READERS, Pair, read_pairs
from chtexp.data.translation.tokenisation import Tokenisation, tokenisations_of
from chtexp.data.translation.units import learn_bpe, learn_words
from chtexp.data.translation.vocabulary import Vocabulary
from chtexp.errors import UserError

PARALLEL = 20_000_000  # bytes of raw text from which on more processes are worth their start
TELL = 500_000  # training pairs between two lines of the log

Tokenised = tuple[Pair, Pair]  # as it was read, and as tokens


def build(config: TranslationDataConfig, paths: Mapping[str, Path], folder: Path, work: Path, log: Log) -> Manifest:
    """Fill a folder from raw files. All is written but the manifest.

    Args:
        config: of the data set.
        paths: of the raw files, by name.
        folder: to be filled.
        work: for intermediate files.
        log: told everything that is done.

    Returns:
        The manifest.

    Raises:
        UserError: files that are not what they should be (with file and line), or no training pair is left.
    """
    split, title = tokenisations_of(config), config.corpus.title
    texts = [work / f"train.{side}" for side in SIDES]
    tokenised = _read(config, config.corpus.train, paths, split)
    held_out, unclean = _write_training(config, tokenised, texts, log)
    vocabulary = Vocabulary(_learn(config, texts, log), *split)
    vocabulary.write(folder / VOCABULARY)
    log(f"{title}: encoding")
    pairs = zip(*map(_lines, texts), strict=True)
    kept, long, tokens = _write_tokens(vocabulary, pairs, folder / "train", config.most_tokens)
    if not kept:
        raise UserError(f"no training pair of {title} is left; see data.cleaning and data.most_tokens")
    validation = held_out or list(_read(config, config.corpus.validation, paths, split))
    counts = {"train": kept}
    for name, ready in (("validation", validation), ("test", list(_read(config, config.corpus.test, paths, split)))):
        counts[name], _, _ = _write_tokens(vocabulary, (pair for _, pair in ready), folder / name)
        _write_texts(ready, split[1], folder / name)
    if unclean or long:
        log(f"{title}: left out {unclean} training pairs by data.cleaning, {long} by data.most_tokens")
    return Manifest(
        config=config,
        versions=versions(LIBRARIES),
        raw=checksums(paths),
        pairs=counts,
        dropped=unclean + long,
        tokens=tokens,
        vocabulary=vocabulary.sizes,
        files=store(folder),
    )


def _learn(config: TranslationDataConfig, texts: list[Path], log: Log) -> list[Tokenizer]:
    """The units of both languages, or those of each."""
    if config.units == "words":
        log(
            f"{config.corpus.title}: learning at most {config.most_words} words of each language from the training pairs"
        )
        return [learn_words(_lines(text), config.most_words) for text in texts]
    log(f"{config.corpus.title}: learning {config.merges} merges from the training pairs")
    return [learn_bpe(chain(*map(_lines, texts)), config.merges)]


def checksums(paths: Mapping[str, Path]) -> dict[str, str]:
    """Hash raw files, by the names that the files have."""
    return {path.name: checksum(path) for path in paths.values()}


def _read(
    config: TranslationDataConfig,
    parts: tuple[CorpusPart, ...],
    paths: Mapping[str, Path],
    split: tuple[Tokenisation, Tokenisation],
) -> Iterator[Tokenised]:
    """The pairs of a split, tokenised."""
    named = [(paths[part.source], paths[part.target], READERS[part.format]) for part in parts]
    pairs = chain.from_iterable(read_pairs(*part, allow_empty=config.cleaning is not None) for part in named)
    size = sum(path.stat().st_size for source, target, _ in named for path in (source, target))
    return tokenise_pairs(*split, pairs, parallel=size > PARALLEL)


def _write_training(
    config: TranslationDataConfig, pairs: Iterable[Tokenised], texts: list[Path], log: Log
) -> tuple[list[Tokenised], int]:
    """Write clean pairs, a file a side; return those held out for validation, and how many are not clean."""
    held_out: list[Tokenised] = []
    clean = read = 0
    with (
        texts[0].open("w", encoding="utf-8", newline="\n") as source,
        texts[1].open("w", encoding="utf-8", newline="\n") as target,
    ):
        for read, (raw, pair) in enumerate(pairs, 1):
            if read % TELL == 0:
                log(f"{config.corpus.title}: {read} training pairs tokenised")
            if config.cleaning is not None and not _is_clean(config.cleaning, pair):
                continue
            clean += 1
            if config.validation_every and clean % config.validation_every == 0:
                held_out.append((raw, pair))
            else:
                source.write(pair.source + "\n")
                target.write(pair.target + "\n")
    log(f"{config.corpus.title}: {read} training pairs tokenised, that is all")
    return held_out, read - clean


def _is_clean(rule: Cleaning, pair: Pair) -> bool:
    short, long = sorted(len(tokens.split()) for tokens in pair)
    return rule.shortest <= short and long <= rule.longest and long <= rule.ratio * short


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n")


def _write_tokens(
    vocabulary: Vocabulary, pairs: Iterable[tuple[str, str]], stem: Path, most: int | None = None
) -> tuple[int, int, int]:
    """Write the tokens of both sides; return how many pairs were kept, how many were too long, and the tokens written."""
    names = [stem.with_name(f"{stem.name}.{side}.tokens") for side in SIDES]
    encode, kinds = (vocabulary.encode_source, vocabulary.encode_target), list(map(token_type, vocabulary.sizes))
    lengths: list[list[int]] = [[], []]
    longer = 0
    with names[0].open("wb") as source, names[1].open("wb") as target:
        for chunk in chunked(pairs, CHUNK):
            sides = [encoded(lines) for encoded, lines in zip(encode, zip(*chunk, strict=True), strict=True)]
            both = list(zip(*sides, strict=True))
            kept = [pair for pair in both if most is None or max(map(len, pair)) <= most]
            longer += len(both) - len(kept)
            columns = zip(*kept, strict=True)  # none, where no pair is kept
            for file, kind, counts, sentences in zip((source, target), kinds, lengths, columns, strict=False):
                np.fromiter(chain.from_iterable(sentences), kind).tofile(file)
                counts.extend(map(len, sentences))
    for side, counts in zip(SIDES, lengths, strict=True):
        np.cumsum([0, *counts], dtype=np.int64).tofile(stem.with_name(f"{stem.name}.{side}.starts"))
    return len(lengths[0]), longer, sum(map(sum, lengths))


def _write_texts(pairs: list[Tokenised], target: Tokenisation, stem: Path) -> None:
    """The raw text of both sides, and the references as Moses tokens."""
    columns = zip(*((raw.source, raw.target, target.pipeline(tokens.target)) for raw, tokens in pairs), strict=True)
    for name, lines in zip(TEXTS, columns, strict=True):
        stem.with_name(f"{stem.name}.{name}").write_bytes("".join(f"{line}\n" for line in lines).encode())
