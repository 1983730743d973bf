"""Files that are edited or replaced while a corpus is made of them: no corpus is made of both."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prepared_folders import error_of

from chtexp.data.text import prepare_text
from chtexp.data.text.cache import cache_folder
from chtexp.data.text.watched import WatchedFile


def edit_in_place(path: Path) -> None:
    """Of the same size."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"house", b"mouse"))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"text": "one more"}\n')


def replace(path: Path) -> None:
    """By one of the same size and time."""
    other, found = path.with_suffix(".other"), path.stat()
    other.write_bytes(path.read_bytes().replace(b"house", b"mouse"))
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)


@pytest.fixture
def corpus(config, tmp_path, write_jsonl, sentences, small_shards):
    """Two training files of 100 documents and one of validation, some hours old."""
    for number, name in enumerate(("a.jsonl", "b.jsonl", "v.json")):
        path = write_jsonl(tmp_path / name, sentences(100, salt=1000 * number))
        os.utime(path, (1e9, 1e9))
    return config("text", train=["*.jsonl"], validation=["v.json"], tokenizer_documents=20)


def at_line(number: int, what: Callable[[Path], None], path: Path) -> Callable[[str], None]:
    """A log that does `what` to a file when it is told its line of that number: 2 is said while the sub-words are about to be
    learnt, later ones are after a shard each, of documents of a.jsonl at first.
    """
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        if len(said) == number:
            what(path)

    return log


@pytest.mark.parametrize("change", [edit_in_place, append, replace, Path.unlink])
@pytest.mark.parametrize(("name", "line"), [("a.jsonl", 3), ("a.jsonl", 13), ("b.jsonl", 13), ("v.json", 3)])
def test_a_file_that_changes_while_it_is_read(corpus, tmp_path, change, name, line):
    path = tmp_path / name
    assert error_of(prepare_text, corpus, tmp_path, at_line(line, change, path)) == (
        f"{path} changed while it was read; run 'chtexp prepare' again once nothing writes to it any more"
    )
    assert not cache_folder(corpus, tmp_path, None).exists()


def test_prepared_again_it_is_all_of_the_new_file(corpus, tmp_path):
    error_of(prepare_text, corpus, tmp_path, at_line(4, edit_in_place, tmp_path / "a.jsonl"))
    said: list[str] = []
    again = prepare_text(corpus, tmp_path, said.append)
    assert "(the raw text or the tokenizer changed), and begins anew" in said[1]
    fresh = prepare_text(corpus, tmp_path, said.append, tmp_path / "fresh")
    everything = range(again.train.sequences(4))
    assert again.train.take(everything, 4).tolist() == fresh.train.take(everything, 4).tolist()


def test_the_end_of_what_is_limited_is_watched_too(corpus, config, tmp_path):
    """All is read when it changes, but not written down yet."""
    limited = config(**{**corpus.model_dump(), "documents": 50})
    said: list[str] = []
    prepare_text(limited, tmp_path, said.append, tmp_path / "undisturbed")
    (end,) = [number for number, line in enumerate(said, 1) if line.endswith("that is all")]
    changed = error_of(prepare_text, limited, tmp_path, at_line(end, append, tmp_path / "a.jsonl"))
    assert "a.jsonl changed while it was read" in changed


def test_a_given_tokenizer_that_changes(corpus, config, tmp_path):
    learnt = prepare_text(corpus, tmp_path, lambda _: None, tmp_path / "learnt").tokenizer
    path = tmp_path / "tokenizer.json"
    path.write_text(learnt.text())
    given = config(
        **{**corpus.model_dump(), "tokenizer": "given", "tokenizer_file": str(path), "tokenizer_documents": None}
    )
    assert f"{path} changed while it was read" in error_of(prepare_text, given, tmp_path, at_line(3, append, path))


def test_what_is_only_looked_at_may_be_looked_at_again(tmp_path):
    path = tmp_path / "a"
    path.write_text("a")
    file = WatchedFile(path)
    path.read_text()
    path.chmod(0o600)
    assert file.checksum == file.checksum
