"""Prepared text that is damaged, and raw text that is another than it was: seen, named and mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from prepared_folders import contents, documents_of, error_of, flip, folders, quiet, truncate

from chtexp.data.prepared import MANIFEST
from chtexp.data.text import load_text, prepare_text
from chtexp.data.text.cache import cache_folder


@pytest.mark.parametrize("name", ["train.00001.tokens", "validation.00000.tokens", "tokenizer.json", MANIFEST])
@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_damage_is_seen_and_mended(config, small_webmix, small_shards, name, damage):
    prepare_text(config(), small_webmix, quiet)
    folder = cache_folder(config(), small_webmix, None)
    whole = contents(folder)
    damage(folder / name)
    if (name, damage) == (MANIFEST, flip):
        (folder / name).write_text("{}")
    message = error_of(load_text, config(), small_webmix)
    if (name, damage) != (MANIFEST, Path.unlink):
        assert message.startswith(f"{folder / name} is corrupt: expected ")
        assert message.endswith("run 'chtexp prepare data=webmix' to mend it")
    log: list[str] = []
    prepare_text(config(), small_webmix, log.append)
    assert log[0].startswith(f"{config().title}: ")
    assert name in log[0] or name == MANIFEST
    assert contents(folder) == whole
    assert folders(folder.parent) == [folder.name]


def test_large_files_are_hashed_by_prepare_alone(config, small_webmix, monkeypatch):
    prepare_text(config(), small_webmix, quiet)
    path = cache_folder(config(), small_webmix, None) / "train.00000.tokens"
    monkeypatch.setattr("chtexp.data.prepared.SMALL", 0)
    flip(path)
    load_text(config(), small_webmix)
    log: list[str] = []
    prepare_text(config(), small_webmix, log.append)
    assert log[0].startswith(f"{config().title}: {path} is corrupt: expected sha256:")


def prepared_anew(config, root: Path) -> str:
    """The first line of the log, without the title; "" if nothing is done."""
    log: list[str] = []
    prepare_text(config, root, log.append)
    return log[0].removeprefix(f"{config.title}: ") if len(log) > 1 else ""


def test_other_raw_text_is_prepared_anew(config, small_webmix, write_jsonl, sentences):
    prepare_text(config(), small_webmix, quiet)
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", sentences(99))
    assert prepared_anew(config(), small_webmix) == "text/webmix.train.jsonl.gz changed since it was prepared"
    assert documents_of(load_text(config(), small_webmix), "train") == sentences(99)


def test_more_and_fewer_files(config, tmp_path, write_jsonl, sentences):
    for name in "bd":
        write_jsonl(tmp_path / f"{name}.jsonl", sentences(40, salt=ord(name)))
    write_jsonl(tmp_path / "v.json", sentences(9, salt=2000))
    files = {"train": ["*.jsonl"], "validation": ["v.json"]}
    whole, limited = config("text", **files), config("text", **files, documents=30)
    prepare_text(whole, tmp_path, quiet)
    prepare_text(limited, tmp_path, quiet)
    write_jsonl(tmp_path / "e.jsonl", sentences(5))
    assert prepared_anew(limited, tmp_path) == ""  # beyond its end
    assert prepared_anew(whole, tmp_path) == "e.jsonl changed since it was prepared"
    write_jsonl(tmp_path / "d.jsonl", sentences(7))
    assert prepared_anew(limited, tmp_path) == ""
    write_jsonl(tmp_path / "a.jsonl", sentences(5))
    assert prepared_anew(limited, tmp_path) == "a.jsonl changed since it was prepared"
    prepare_text(whole, tmp_path, quiet)
    (tmp_path / "b.jsonl").unlink()
    assert prepared_anew(whole, tmp_path) == ""
    write_jsonl(tmp_path / "v.json", sentences(9, salt=3000))
    assert prepared_anew(whole, tmp_path) == "v.json changed since it was prepared"


def test_another_tokenizer_in_the_same_place(config, small_webmix, tmp_path):
    path = tmp_path / "tokenizer.json"
    learnt = [
        prepare_text(config(vocabulary=n, tokenizer_documents=d), small_webmix, quiet) for n, d in ((280, 50), (280, 5))
    ]
    path.write_text(learnt[0].tokenizer.text())
    described = config(tokenizer="given", tokenizer_file=str(path), vocabulary=280)
    data = prepare_text(described, small_webmix, quiet)
    assert data.train.take([3], 50).tolist() == learnt[0].train.take([3], 50).tolist()
    path.write_text(learnt[1].tokenizer.text())
    assert prepared_anew(described, small_webmix) == f"{path} changed since it was prepared"
    path.unlink()
    assert prepared_anew(described, small_webmix) == ""


def test_errors_of_documents_and_files(config, small_webmix, write_jsonl):
    train = small_webmix / "text/webmix.train.jsonl.gz"
    write_jsonl(train, ["", " \n"])
    assert error_of(prepare_text, config(), small_webmix, quiet) == (
        f"no training document of {config().title} is left; "
        "left out 2 empty documents, and 0 of the training files that are validation documents"
    )
    train.write_bytes(train.read_bytes()[:-9])
    assert error_of(prepare_text, config(), small_webmix, quiet).startswith(f"cannot read {train}: ")
    train.unlink()
    assert error_of(prepare_text, config(), small_webmix, quiet).endswith(
        f"no file matches {train}; see data.train and paths.data"
    )
    assert error_of(load_text, config(), small_webmix).startswith(f"{config().title} is not prepared")


def test_a_folder_that_cannot_be_written(config, small_webmix, tmp_path):
    (tmp_path / "file").write_text("")
    message = error_of(prepare_text, config(), small_webmix, quiet, tmp_path / "file")
    assert message.startswith(f"cannot write to the data folder {tmp_path}/file/webmix: ")
    assert message.endswith("; set CHTEXP_CACHE or paths.cache to a folder that prepared data may be written to")
