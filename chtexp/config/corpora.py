"""The corpora that translation is learnt from: the files of each, their format, and where they come from.

Another corpus is one more entry here and one more YAML in conf/data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Format = Literal["lines", "talk_lines", "segments"]  # see `chtexp.data.translation.raw`


@dataclass(frozen=True)
class CorpusPart:
    """Two files that translate each other line by line.

    Attributes:
        source: the file of the source language.
        target: the file of the target language.
        format: of both files.
    """

    source: str
    target: str
    format: Format = "lines"


@dataclass(frozen=True)
class Download:
    """A file on the web.

    Attributes:
        address: where it lies.
        members: the files that are needed of a tar archive. Without any, the file is gzipped and keeps its name.
    """

    address: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corpus:
    """The parts of each split, concatenated in order.

    Attributes:
        title: for a person.
        train: the training parts.
        validation: the validation parts; none where training pairs are held out.
        test: the test parts.
        downloads: together they give every file.
        by_hand: where a person finds the files, if there are no downloads.
    """

    title: str
    train: tuple[CorpusPart, ...]
    validation: tuple[CorpusPart, ...]
    test: tuple[CorpusPart, ...]
    downloads: tuple[Download, ...] = ()
    by_hand: str = ""

    @property
    def splits(self) -> Mapping[str, tuple[CorpusPart, ...]]:
        """The parts by the name of their split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def files(self) -> list[str]:
        """The name of every file, once, in order."""
        names = (name for parts in self.splits.values() for part in parts for name in (part.source, part.target))
        return list(dict.fromkeys(names))


_MULTI30K_ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"

_MULTI30K = Corpus(
    title="Multi30k",
    train=(CorpusPart("train.en", "train.de"),),
    validation=(CorpusPart("val.en", "val.de"),),
    test=(CorpusPart("test_2016_flickr.en", "test_2016_flickr.de"),),
    downloads=tuple(
        Download(f"{_MULTI30K_ADDRESS}/{split}.{language}.gz")
        for split in ("train", "val", "test_2016_flickr")
        for language in ("en", "de")
    ),
)

# The usual test set: these five, in this order (fairseq, examples/translation/prepare-iwslt14.sh).
_IWSLT14_TEST = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")

_IWSLT14 = Corpus(
    title="IWSLT14",
    train=(CorpusPart("train.tags.de-en.en", "train.tags.de-en.de", "talk_lines"),),
    validation=(),
    test=tuple(
        CorpusPart(f"IWSLT14.{name}.de-en.en.xml", f"IWSLT14.{name}.de-en.de.xml", "segments") for name in _IWSLT14_TEST
    ),
    by_hand="unpack texts/de/en/de-en.tgz of the archive 2014-01 (https://wit3.fbk.eu)",
)

_STATMT = "https://data.statmt.org/wmt17/translation-task"
_NEWS_2016 = ("newstest2016-ende-src.en.sgm", "newstest2016-ende-ref.de.sgm")
_NEWS_2017 = ("newstest2017-ende-src.en.sgm", "newstest2017-ende-ref.de.sgm")


def _both(name: str) -> tuple[str, str]:
    return f"{name}.en", f"{name}.de"


_WMT17 = Corpus(
    title="WMT17",
    train=tuple(CorpusPart(*_both(n)) for n in ("europarl-v7.de-en", "commoncrawl.de-en", "news-commentary-v12.de-en")),
    validation=(CorpusPart(*_NEWS_2016, "segments"),),
    test=(CorpusPart(*_NEWS_2017, "segments"),),
    downloads=(
        Download("https://www.statmt.org/wmt13/training-parallel-europarl-v7.tgz", _both("europarl-v7.de-en")),
        Download("https://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz", _both("commoncrawl.de-en")),
        Download(f"{_STATMT}/training-parallel-nc-v12.tgz", _both("news-commentary-v12.de-en")),
        Download(f"{_STATMT}/dev.tgz", _NEWS_2016),
        Download(f"{_STATMT}/test.tgz", _NEWS_2017),
    ),
)

CORPORA: dict[str, Corpus] = {"multi30k": _MULTI30K, "iwslt14": _IWSLT14, "wmt17": _WMT17}
