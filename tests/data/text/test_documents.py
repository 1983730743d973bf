"""Which document belongs to which split: by its text alone, and never to both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepared_folders import error_of

from chtexp.data.text.documents import Corpus, batched
from chtexp.data.text.find import find_sources


@pytest.fixture
def corpus(config, tmp_path, write_jsonl):
    """A corpus of training files (a list of documents each) and, perhaps, validation documents."""

    def made(*train: list[str], validation: list[str] | None = None, **changes) -> Corpus:
        for n, texts in enumerate(train):
            write_jsonl(tmp_path / f"train{n}.jsonl", texts)
        if validation is not None:
            write_jsonl(tmp_path / "validation.jsonl", validation)
        held_out = {"validation": ["validation.jsonl"]} if validation is not None else {"validation_share": 0.5}
        described = config("text", **{"train": ["train*.jsonl"]} | held_out | changes)
        return Corpus(described, find_sources(described, tmp_path))

    return made


def splits(corpus: Corpus, **start: int) -> list[tuple[str, str]]:
    return [(one.split, one.text) for one in corpus.documents(**start)]


def test_with_validation_files(corpus):
    made = corpus(["a", "v", " \n", "b"], ["c", ""], validation=["v", "w", "", "v"])
    assert splits(made) == [
        ("validation", "v"), ("validation", "w"), ("empty", ""), ("validation", "v"),
        ("train", "a"), ("held out", "v"), ("empty", " \n"), ("train", "b"), ("train", "c"), ("empty", ""),
    ]  # fmt: skip
    assert [(one.source, one.number) for one in made.documents()][3:] == [
        (0, 4), (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2)
    ]  # fmt: skip


def test_a_share_is_held_out_whatever_the_order(corpus, sentences):
    texts = sentences(1000)
    found = dict(reversed(one) for one in splits(corpus(texts, validation_share=0.2)))
    assert 150 < Counter(found.values())["validation"] < 250
    assert dict(reversed(one) for one in splits(corpus(texts[::-1] * 2, validation_share=0.2))) == found
    more = dict(reversed(one) for one in splits(corpus(texts, validation_share=0.4)))
    assert all(more[text] == "validation" for text, split in found.items() if split == "validation")
    by_place = [found[text] == "validation" for text in texts]
    assert 30 < sum(by_place[:300]) < 90
    assert 30 < sum(by_place[-300:]) < 90


def test_known_splits_stay(corpus):
    """The split is part of every published number: a text that moves to the other side changes them all."""
    assert "".join(split[0] for split, _ in splits(corpus(list("abcdefghij")))) == "vtvtvvvvtv"


@pytest.mark.parametrize("documents", [1, 2, 3, 4, 9, None])
def test_at_most_so_many_training_documents(corpus, documents):
    made = corpus(["a", "", "b"], ["c", "v", "d"], ["e"], validation=["v"], documents=documents)
    assert [text for split, text in splits(made) if split == "train"] == list("abcde")[:documents]
    read = splits(made)
    assert documents is None or documents > 5 or read[-1] == ("train", "abcde"[documents - 1])  # nothing is read beyond
    assert list(made.training_texts(2)) == list("ab")[:documents]
    assert list(made.training_texts(None)) == list("abcde")[:documents]


@pytest.mark.parametrize("documents", [None, 3])
def test_from_any_document_on(corpus, documents):
    made = corpus(["a", "", "b"], [], ["c", "v", "d"], validation=["v", "w"], documents=documents)
    everything = list(made.documents())
    for n, one in enumerate(everything):
        taken = sum(earlier.split == "train" for earlier in everything[: n + 1])
        assert list(made.documents(one.source, one.number, taken)) == everything[n + 1 :]


@given(st.lists(st.text(max_size=8), max_size=20), st.integers(1, 12))
def test_batches(texts, characters):
    from chtexp.data.text.documents import Document

    documents = [Document(0, n, "train", text) for n, text in enumerate(texts, 1)]
    batches = list(batched(documents, characters))
    assert [one for batch in batches for one in batch] == documents
    sizes = [[len(one.text) for one in batch] for batch in batches]
    assert all(sum(size) >= characters for size in sizes[:-1])
    assert all(sum(size[:-1]) < characters for size in sizes)


# --- where they are ----------------------------------------------------------------------------------------


def names(config, root: Path | None, **changes) -> list[tuple[str, str]]:
    described = config("text", **{"validation_share": 0.1} | changes)
    return [(one.split, one.name) for one in find_sources(described, root)]


def test_patterns_below_the_root_and_anywhere(config, tmp_path, write_jsonl):
    for name in ("b.jsonl", "a.jsonl", "deep/er/c.jsonl", "d.txt"):
        write_jsonl(tmp_path / "root" / name, [])
    write_jsonl(tmp_path / "else/e.jsonl", [])
    root, other = tmp_path / "root", str(tmp_path / "else/e.jsonl")
    assert names(config, root, train=["*.jsonl"]) == [("train", "a.jsonl"), ("train", "b.jsonl")]
    assert names(config, root, train=["**/*.jsonl"])[2] == ("train", "deep/er/c.jsonl")
    assert [name for _, name in names(config, root, train=["b.jsonl", other, "*.jsonl"])] == [
        "b.jsonl",
        other,
        "a.jsonl",
    ]
    assert names(config, None, train=[other]) == [("train", other)]
    held_out = names(config, root, train=["a.jsonl"], validation=["b.jsonl"], validation_share=None)
    assert held_out == [("validation", "b.jsonl"), ("train", "a.jsonl")]


def test_files_that_are_missing_or_used_twice(config, tmp_path, write_jsonl):
    write_jsonl(tmp_path / "a.jsonl", [])
    assert error_of(names, config, tmp_path, train=["a.jsonl", "b.jsonl", "c/*.txt"]) == (
        f"text: no file matches {tmp_path}/b.jsonl, {tmp_path}/c/*.txt; see data.train and paths.data"
    )
    assert error_of(names, config, None, train=["a.jsonl"]).startswith("text: no file matches <paths.data>/a.jsonl;")
    message = error_of(names, config, tmp_path, train=["*.jsonl"], validation=["a.jsonl"], validation_share=None)
    assert message == "text: a.jsonl is both a training and a validation file; take it out of one"
