"""Files that say how many of them there should be: a part is no corpus unless somebody asks for it, and then it is called one."""

from __future__ import annotations

import json

import pytest
from prepared_folders import error_of, quiet

from chtexp.data.prepared import MANIFEST
from chtexp.data.text import load_text, prepare_text
from chtexp.data.text.cache import cache_folder
from chtexp.data.text.file_sets import file_sets, names_a_set

C4 = "c4/en/c4-{}.{:05}-of-{:05}.json.gz"


@pytest.fixture
def c4(tmp_path, write_jsonl, sentences):
    """C4, of which these training files of four, of 20 documents each, and these validation files of two are there."""

    def written(train: list[int], validation: list[int]):
        for split, numbers, size in (("train", train, 4), ("validation", validation, 2)):
            for number in numbers:
                salt = 100 * number + 1000 * (split == "train")
                write_jsonl(tmp_path / C4.format(split, number, size), sentences(20, salt=salt))
        return tmp_path

    return written


def test_sets_are_told_by_folder_name_and_size():
    names = [
        "a/x-00001-of-00003.txt",
        "a/x-00000-of-00003.txt",
        "b/x-00000-of-00003.txt",
        "a/x-00000-of-00002.txt",
        "a/y.txt",
    ]
    found = {one.name: one for one in file_sets(names)}
    assert {name: one.numbers for name, one in found.items()} == {
        "a/x-*-of-00003.txt": (0, 1), "b/x-*-of-00003.txt": (0,), "a/x-*-of-00002.txt": (0,)
    }  # fmt: skip
    assert not any(one.whole for one in found.values())
    assert file_sets(["page-3-of-7.txt", "of-00080.txt", "12345-of.txt"]) == []


@pytest.mark.parametrize(
    ("numbers", "whole", "first"),
    [
        ([0, 1, 2], True, True),
        ([1, 2, 3], True, True),
        ([0, 1], False, True),
        ([0, 2], False, False),
        ([2], False, False),
    ],
)
def test_some_count_from_one(numbers, whole, first):
    (one,) = file_sets(f"model-{number:05}-of-00003.parquet" for number in numbers)
    assert (one.whole, one.from_the_first_on) == (whole, first)


def test_a_pattern_that_names_a_set():
    assert names_a_set("x/*-of-00080.parquet")
    assert names_a_set("train-00003-of-00080.parquet")
    assert not names_a_set("x-of-00080/*.parquet")
    assert not names_a_set("*-of-*.parquet")


def test_a_part_is_refused(c4, config):
    root = c4([0, 1, 3], [0, 1])
    assert error_of(prepare_text, config("c4"), root, quiet) == (
        f"C4: only 3 of 4 files {root}/c4/en/c4-train.*-of-00004.json.gz are there; fetch the others, or ask for a part by name: "
        "'data.train=[c4/en/c4-train.*-of-00004.json.gz]', or for the first N documents: data.documents=N"
    )
    c4([2], [])
    assert prepare_text(config("c4"), root, quiet).source.startswith("C4: 80 documents, ")
    (root / C4.format("validation", 0, 2)).unlink()
    assert "changed" not in error_of(prepare_text, config("c4", vocabulary=280), root, quiet)
    assert error_of(prepare_text, config("c4", vocabulary=280), root, quiet).endswith(
        "ask for a part by name: 'data.validation=[c4/en/c4-validation.*-of-00002.json.gz]'"
    )


def test_a_part_that_is_asked_for_is_called_one(c4, config):
    root = c4([1, 3], [0])
    asked = {"train": ["c4/en/c4-train.*-of-00004.json.gz"], "validation": [C4.format("validation", 0, 2)]}
    data = prepare_text(config("c4", **asked), root, quiet)
    part = "C4 (2 of 4 training files, 1 of 2 validation files)"
    assert data.source.startswith(f"{part}: 40 documents, ")
    assert data.deviations == (f"stand-in data ({part})",)


def test_the_first_documents_need_the_first_files_alone(c4, config):
    root = c4([0, 1], [0, 1])
    data = prepare_text(config("c4", documents=30), root, quiet)
    assert data.source.startswith("C4 (2 of 4 training files): 30 documents, ")
    assert error_of(prepare_text, config("c4", documents=50), root, quiet).startswith(
        "C4: data.documents=50, but there are 40: only 2 of 4 files "
    )
    c4([3], [])
    assert "only 3 of 4 files" in error_of(prepare_text, config("c4", documents=40), root, quiet)
    c4([2], [])
    more_than_there_are = prepare_text(config("c4", documents=100), root, quiet)
    assert more_than_there_are.source.startswith("C4: 80 documents, ")


def test_what_was_prepared_of_a_part_before_is_called_one(c4, config):
    root = c4([0, 1, 2, 3], [0, 1])
    prepare_text(config("c4"), root, quiet)
    path = cache_folder(config("c4"), root, None) / MANIFEST
    said = json.loads(path.read_text())
    del said["raw"][C4.format("train", 2, 4)]
    path.write_text(json.dumps(said))
    assert load_text(config("c4"), root).source.startswith("C4 (3 of 4 training files): ")
