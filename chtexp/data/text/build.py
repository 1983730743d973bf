"""From documents to the files of a prepared corpus: split, learn the tokenizer, encode.

Documents pass through in batches; no more than one is in memory. The same documents and library give the same bytes, on how many
cores and after how many interruptions ever.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from chtexp.data.checksums import checksum
from chtexp.data.prepare import Log
from chtexp.data.prepared import store, token_type, versions
from chtexp.data.text.cache import LIBRARIES, Manifest
from chtexp.data.text.documents import EMPTY, HELD_OUT, Corpus, Document, batched
from chtexp.data.text.progress import Checkpoint, Progress, forget, save, saved
from chtexp.data.text.shards import ShardWriter, write_ends
from chtexp.data.text.sources import TRAIN, VALIDATION
from chtexp.data.text.tokenizer import TOKENIZER, TextTokenizer, given_tokenizer, learn_bpe
from chtexp.errors import UserError

BATCH = 1_000_000  # characters encoded together
SPECIAL_TOKENS = ("end of text", "padding")  # of the tokenizer

Writers = Mapping[str, ShardWriter]


def build(corpus: Corpus, folder: Path, log: Log) -> Manifest:
    """Fill a folder with a prepared corpus, or continue where that was interrupted. All is written but the manifest.

    Args:
        corpus: the documents.
        folder: to be filled.
        log: told everything that is done.

    Returns:
        The manifest.

    Raises:
        UserError: sources that are not what they should be (with file and line or row), or do not stay what they are, a tokenizer
            that is none, or no training document is left.
    """
    tokenizer, progress, writers = _resumed(corpus, folder, log) or _begun(corpus, folder, log)
    progress = _encode(corpus, tokenizer, progress, writers, folder, log)
    if not progress.tokens[TRAIN]:
        raise UserError(f"no training document of {corpus.config.title} is left; {_left_out(progress)}")
    if progress.documents.get(EMPTY) or progress.documents.get(HELD_OUT):
        log(f"{corpus.config.title}: {_left_out(progress)}")
    raw = {one.name: one.raw for one in corpus.sources[: corpus.opened]}
    for split in (TRAIN, VALIDATION):
        write_ends(folder, split, token_type(tokenizer.vocabulary), tokenizer.end_of_text)
    forget(folder)
    return Manifest(
        config=corpus.config,
        versions=versions(LIBRARIES),
        raw=raw,
        tokenizer=None if corpus.given is None else corpus.given.checksum,
        documents=progress.documents,
        tokens=progress.tokens,
        vocabulary=tokenizer.vocabulary,
        end_of_text=tokenizer.end_token,
        padding=tokenizer.padding_token,
        files=store(folder),
    )


def _begun(corpus: Corpus, folder: Path, log: Log) -> tuple[TextTokenizer, Progress, Writers]:
    """From the beginning."""
    config = corpus.config
    corpus.opened = 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if config.learnt:
        log(f"{config.title}: learning {config.vocabulary} sub-words from the training documents")
        tokenizer = learn_bpe(corpus.training_texts(config.tokenizer_documents), config.vocabulary)
    else:
        tokenizer = given_tokenizer(config, corpus.root)
    (folder / TOKENIZER).write_text(tokenizer.text(), encoding="utf-8")
    progress = Progress()
    save(folder, _checkpoint(corpus, folder, progress, tokenizer.special_tokens))
    return tokenizer, progress, _writers(tokenizer, folder, progress)


def _resumed(corpus: Corpus, folder: Path, log: Log) -> tuple[TextTokenizer, Progress, Writers] | None:
    """From where it was interrupted; None if nothing was begun, or what was is damaged or made of other text."""
    found = saved(folder)
    if found is None:
        return None
    title, progress = corpus.config.title, found.progress
    special_tokens = [found.made_of.get(name, "") for name in SPECIAL_TOKENS]
    try:
        corpus.opened = found.opened
        if _checkpoint(corpus, folder, progress, special_tokens) != found:
            raise ValueError("the raw text or the tokenizer changed")
        tokenizer = TextTokenizer.read(folder / TOKENIZER, *special_tokens)
        writers = _writers(tokenizer, folder, progress)
    except (OSError, ValueError) as error:  # a UserError is a ValueError
        log(f"{title}: cannot go on from where it was interrupted ({error}), and begins anew")
        return None
    log(f"{title}: going on after {progress.taken} training documents, {progress.tokens[TRAIN]} tokens")
    return tokenizer, progress, writers


def _checkpoint(corpus: Corpus, folder: Path, progress: Progress, special_tokens: Sequence[str]) -> Checkpoint:
    """With the checksums of all that was read so far, be it to learn the tokenizer."""
    made_of = {
        **{one.name: one.raw.checksum for one in corpus.sources[: corpus.opened]},
        **({} if corpus.given is None else {"given tokenizer": corpus.given.checksum}),
        "tokenizer": checksum(folder / TOKENIZER),
        **dict(zip(SPECIAL_TOKENS, special_tokens, strict=True)),
    }
    return Checkpoint(progress=progress, opened=corpus.opened, made_of=made_of)


def _writers(tokenizer: TextTokenizer, folder: Path, progress: Progress) -> Writers:
    kind = token_type(tokenizer.vocabulary)
    return {split: ShardWriter(folder, split, kind, tokens=progress.tokens[split]) for split in (TRAIN, VALIDATION)}


def _encode(
    corpus: Corpus, tokenizer: TextTokenizer, progress: Progress, writers: Writers, folder: Path, log: Log
) -> Progress:
    """Write the tokens of all documents that follow; return how far it came in the end."""
    start, before, whole = time.perf_counter(), progress.characters, writers[TRAIN].whole_shards
    documents = corpus.documents(progress.source, progress.read, progress.taken)
    with ExitStack() as files:
        for writer in writers.values():
            files.callback(writer.close)
        for batch in batched(documents, BATCH):
            _append(tokenizer, batch, writers)
            progress = progress.after(batch, {split: writer.tokens for split, writer in writers.items()})
            if writers[TRAIN].whole_shards == whole:
                continue
            whole = writers[TRAIN].whole_shards
            for writer in writers.values():
                writer.settle()
            save(folder, _checkpoint(corpus, folder, progress, tokenizer.special_tokens))
            speed = (progress.characters - before) / 1e6 / (time.perf_counter() - start)
            log(f"{corpus.config.title}: {progress.taken} training documents encoded, {speed:.1f} MB/s")
    log(f"{corpus.config.title}: {progress.taken} training documents encoded, that is all")
    return progress


def _append(tokenizer: TextTokenizer, batch: list[Document], writers: Writers) -> None:
    for split, writer in writers.items():
        texts = [document.text for document in batch if document.split == split]
        if texts:
            writer.append(tokenizer.encode_documents(texts))


def _left_out(progress: Progress) -> str:
    empty, held_out = (progress.documents.get(split, 0) for split in (EMPTY, HELD_OUT))
    return f"left out {empty} empty documents, and {held_out} of the training files that are validation documents"
