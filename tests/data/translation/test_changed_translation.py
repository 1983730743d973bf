"""Prepared pairs that are damaged, and raw text that is another than it was: seen, named and mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from prepared_folders import contents, error_of, flip, quiet, truncate

from chtexp.data.prepared import MANIFEST
from chtexp.data.translation import load_translation, prepare_translation
from chtexp.data.translation.cache import cache_folder


def cache_of(call, config, root) -> Path:
    call(config, root, quiet)
    return cache_folder(config, root, None)


@pytest.mark.parametrize(
    "name", ["train.source.tokens", "test.target.starts", "vocabulary.json", "test.target.txt", MANIFEST]
)
@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_damage_is_seen_and_mended(config, small_multi30k, name, damage):
    folder = cache_of(prepare_translation, config(), small_multi30k)
    whole = contents(folder)
    damage(folder / name)
    if (name, damage) == (MANIFEST, flip):
        (folder / name).write_text("{}")
    message = error_of(load_translation, config(), small_multi30k)
    if (name, damage) != (MANIFEST, Path.unlink):
        assert message.startswith(f"{folder / name} is corrupt: expected ")
        assert message.endswith("run 'chtexp prepare data=multi30k' to mend it")
    prepare_translation(config(), small_multi30k, quiet)
    assert contents(folder) == whole
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_large_files_are_hashed_by_prepare_alone(config, small_multi30k, monkeypatch):
    folder = cache_of(prepare_translation, config(), small_multi30k)
    monkeypatch.setattr("chtexp.data.prepared.SMALL", 0)
    flip(folder / "train.source.tokens")
    load_translation(config(), small_multi30k)
    log: list[str] = []
    prepare_translation(config(), small_multi30k, log.append)
    assert log[0].startswith(f"Multi30k: {folder / 'train.source.tokens'} is corrupt: expected sha256:")


def test_other_raw_text_is_prepared_anew(config, small_multi30k):
    prepare_translation(config(), small_multi30k, quiet)
    path = small_multi30k / "multi30k/val.en"
    path.write_text(path.read_text().replace("dog", "cat"))
    log: list[str] = []
    data = prepare_translation(config(), small_multi30k, log.append)
    assert log[0] == "Multi30k: val.en changed since it was prepared"
    assert data.validation.source_text[0] == "A cat runs."
