"""Moses' tokenisation and its undoing, and many sentences at a time in parallel processes.

Source: P. Koehn et al., "Moses: open source toolkit for statistical machine translation", ACL 2007, as `sacremoses`,
which is imported where it is used: that takes a second.
[choice] Special characters are not escaped (' stays ', where Moses writes &apos;): the tokens are the same one to one, and so is
every score.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

from chtexp.data.translation.raw import Pair
from chtexp.system.cores import available_cores

if TYPE_CHECKING:
    from chtexp.data.translation.tokenisation import Tokenisation

CHUNK = 10_000  # pairs
T = TypeVar("T")
R = TypeVar("R")


def _as_it_is(text: str) -> str:
    return text


def _straight_apostrophes(text: str) -> str:
    return text.replace("’", "'")


def _plain_punctuation(language: str) -> Callable[[str], str]:
    from sacremoses import MosesPunctNormalizer

    normalise: Callable[[str], str] = MosesPunctNormalizer(language).normalize
    return normalise


NORMALISERS: dict[str, Callable[[str], Callable[[str], str]]] = {
    "none": lambda language: _as_it_is,
    "apostrophes": lambda language: _straight_apostrophes,
    "punctuation": _plain_punctuation,
}


class Moses:
    """From text of one language to tokens and back.

    Args:
        language: `en` or `de`.
        normalise: one of NORMALISERS.
        lower_case: whether tokens are lower-cased.
    """

    def __init__(self, language: str, normalise: str, lower_case: bool) -> None:
        from sacremoses import MosesDetokenizer, MosesTokenizer

        self._normalise = NORMALISERS[normalise](language)
        self._tokenizer = MosesTokenizer(language)
        self._detokenizer = MosesDetokenizer(language)
        self._lower_case = lower_case

    def tokenise(self, text: str) -> str:
        """Tokenise a text: a space between two tokens, and no other white space."""
        tokens: str = self._tokenizer.tokenize(self._normalise(text), escape=False, return_str=True)
        return " ".join((tokens.lower() if self._lower_case else tokens).split())

    def detokenise(self, tokens: str) -> str:
        """Write tokens as a person does; what was lower-cased stays so."""
        text: str = self._detokenizer.detokenize(tokens.split(), unescape=False)
        return text

    def pipeline(self, tokens: str) -> str:
        """The tokens as they are: they are Moses' already."""
        return tokens


def tokenise_pairs(
    source: Tokenisation, target: Tokenisation, pairs: Iterable[Pair], parallel: bool
) -> Iterator[tuple[Pair, Pair]]:
    """Tokenise pairs, in order.

    Args:
        source, target: tokenise each side.
        pairs: raw ones.
        parallel: whether as many processes as there are cores share the work.

    Yields:
        Every pair with its tokenised form.
    """
    work = partial(_tokenise_chunk, source, target)
    chunks = chunked(pairs, CHUNK)
    done = _in_order(work, chunks, available_cores()) if parallel else map(work, chunks)
    for chunk in done:
        yield from chunk


def _tokenise_chunk(source: Tokenisation, target: Tokenisation, pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    return [(pair, Pair(source.tokenise(pair.source), target.tokenise(pair.target))) for pair in pairs]


def _in_order(work: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """`map(work, items)` in processes; only a few items a process are in memory."""
    waiting: deque[Future[R]] = deque()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut items into lists of `size`, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
