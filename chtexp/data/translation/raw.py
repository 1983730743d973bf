"""Raw parallel text as it is published: plain lines, transcripts of talks, and test sets with a sentence a <seg>.

A reader yields the sentences of a file with their line numbers; `read_pairs` walks two files side by side.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from chtexp.config.corpora import Format
from chtexp.data.lines import Line, lines
from chtexp.errors import UserError

Reader = Callable[[Path], Iterator[Line]]


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


# What fairseq's preparation of IWSLT14 drops (examples/translation/prepare-iwslt14.sh), and the tags that it strips.
_ABOUT_THE_TALK = re.compile(r"<(url|talkid|keywords)>")
_TAG = re.compile(r"</?(title|description)>")


def talk_lines(path: Path) -> Iterator[Line]:
    """Read the sentences of `train.tags.*`: talks, their titles and descriptions; addresses, numbers and keywords left out."""
    for number, line in lines(path):
        if not _ABOUT_THE_TALK.search(line):
            yield number, _TAG.sub("", line).strip()


_SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg>", re.IGNORECASE)
_SEGMENT_START = re.compile(r"<seg\b", re.IGNORECASE)
_ENTITY = re.compile(r"&#?\w+;")


def segments(path: Path) -> Iterator[Line]:
    """Read the sentence of every <seg>, entities resolved, from the test sets' XML and SGML (which no XML parser takes).

    Args:
        path: the file.

    Raises:
        UserError: a file without segments, or a segment that does not end on its line.
    """
    empty = True
    for number, line in lines(path):
        contents = _SEGMENT.findall(line)
        if len(contents) != len(_SEGMENT_START.findall(line)):
            raise UserError(f"{path}, line {number}: a <seg> that does not end on its line; fetch the file again")
        for content in contents:
            empty = False
            yield number, _ENTITY.sub(lambda entity: html.unescape(entity[0]), content).strip()
    if empty:
        raise UserError(f"{path} holds no <seg>, but every sentence should stand in one; fetch the file again")


READERS: dict[Format, Reader] = {"lines": lines, "talk_lines": talk_lines, "segments": segments}


def read_pairs(source: Path, target: Path, read: Reader, allow_empty: bool) -> Iterator[Pair]:
    """Read the sentences of two files that translate each other.

    Args:
        source, target: the files.
        read: reads one of them.
        allow_empty: whether a sentence may be empty on one side or both.

    Raises:
        UserError: one file has more sentences, or a sentence is empty.
    """
    count = 0
    for count, (one, other) in enumerate(zip_longest(read(source), read(target)), 1):
        if one is None or other is None:
            short, long = (source, target) if one is None else (target, source)
            missing = f"{short} ends after {count - 1} sentences"
            raise UserError(f"{missing}, but {long} has more: line {(one or other)[0]}; fetch both files again")
        if not allow_empty and not (one[1].strip() and other[1].strip()):
            path, (number, _) = (target, other) if one[1].strip() else (source, one)
            raise UserError(
                f"{path}, line {number}: an empty line where its translation should be; fetch the file again"
            )
        yield Pair(one[1], other[1])
    if not count:
        raise UserError(f"{source} and {target} hold no sentences; fetch both files again")
