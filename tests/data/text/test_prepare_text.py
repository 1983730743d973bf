"""Preparing and loading: what is on disk, damage, other files, and the real webmix."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepared_folders import contents, documents_of, error_of, folders, quiet

from chtexp.data.prepared import MANIFEST
from chtexp.data.text import PADDING, load_text, prepare_text, vocabulary_size
from chtexp.data.text.cache import cache_folder

# --- what is prepared --------------------------------------------------------------------------------------


def test_prepared_once_then_left_alone(config, small_webmix):
    log: list[str] = []
    data = prepare_text(config(), small_webmix, log.append)
    folder, title = cache_folder(config(), small_webmix, None), config().title
    tokens = f"{len(data.train)} training and {len(data.validation)} validation tokens"
    last = f"{title}: {tokens}, 300 sub-words, checked, in {folder}"
    assert log == [
        f"{title}: not prepared yet in {folder}",
        f"{title}: learning 300 sub-words from the training documents",
        f"{title}: 200 training documents encoded, that is all",
        last,
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    log.clear()
    prepare_text(config(), small_webmix, log.append)
    assert log == [last]
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert folders(folder.parent) == [folder.name]


def test_what_is_prepared(config, small_webmix, sentences):
    data = prepare_text(config(), small_webmix, quiet)
    assert documents_of(data, "train") == sentences(200)
    assert documents_of(data, "validation") == sentences(10, salt=1000)
    assert (data.vocabulary, data.end_of_text) == (300, 0)
    assert data.source.startswith("webmix (a stand-in for OpenWebText): 200 documents, ")
    first = data.tokenizer.encode(sentences(1)[0])
    assert data.train.take([0], len(first))[0].tolist() == [*first, data.end_of_text]


def test_flat_little_endian_shards_of_the_same_size(config, small_webmix, small_shards, tmp_path):
    whole = prepare_text(config(), small_webmix, quiet)
    folder = cache_folder(config(), small_webmix, None)
    sizes = [path.stat().st_size for path in sorted(folder.glob("train.*.tokens"))]
    assert len(sizes) > 5
    assert set(sizes[:-1]) == {2 * small_shards}
    assert 0 < sizes[-1] <= 2 * small_shards
    tokens_T = np.concatenate([np.fromfile(path, "<u2") for path in sorted(folder.glob("train.*.tokens"))])
    assert len(tokens_T) == len(whole.train)
    N = whole.train.sequences(7)
    assert whole.train.take(range(N), 7)[:, :-1].flatten().tolist() == tokens_T[: N * 7].tolist()


def test_more_than_65536_entries_are_32_bits(config, small_webmix, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    entries = {f"word{n}": n for n in range(65_535)} | {"</s>": 65_535, "Text": 65_536}
    tokenizer = Tokenizer(models.WordLevel(entries, unk_token="word1"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    described = config(tokenizer="given", tokenizer_file=str(tmp_path), vocabulary=65_537)
    data = prepare_text(described, small_webmix, quiet)
    tokens_T = np.fromfile(cache_folder(described, small_webmix, None) / "train.00000.tokens", "<u4")
    assert (tokens_T == 65_536).sum() == (tokens_T == 65_535).sum() == 200
    assert int(data.train.take(range(data.train.sequences(4)), 4).max()) == 65_536
    assert "65537 sub-words of given (" in data.source


def test_the_manifest_says_what_there_is(config, small_webmix, small_shards):
    data = prepare_text(config(), small_webmix, quiet)
    folder = cache_folder(config(), small_webmix, None)
    said = json.loads((folder / MANIFEST).read_text())
    assert said["config"] == json.loads(config().model_dump_json())
    assert set(said["versions"]) == {"tokenizers"}
    assert list(said["raw"]) == ["text/webmix.validation.jsonl.gz", "text/webmix.train.jsonl.gz"]
    raw = said["raw"]["text/webmix.train.jsonl.gz"]
    path = small_webmix / "text/webmix.train.jsonl.gz"
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert raw == {"split": "train", "bytes": path.stat().st_size, "checksum": f"sha256:{digest}"}
    assert said["documents"] == {"train": 200, "validation": 10}
    assert said["tokens"] == {"train": len(data.train), "validation": len(data.validation)}
    assert (said["vocabulary"], said["end_of_text"], said["tokenizer"]) == (300, "<|endoftext|>", None)
    assert sorted([*said["files"], MANIFEST]) == sorted(path.name for path in folder.iterdir())
    assert {name: stored["bytes"] for name, stored in said["files"].items()} == {
        path.name: path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST
    }


def test_sub_words_are_learnt_from_training_documents_alone(config, small_webmix, write_jsonl, sentences):
    before = prepare_text(config(), small_webmix, quiet).tokenizer.text()
    write_jsonl(small_webmix / "text/webmix.validation.jsonl.gz", ["zebra zebra zebra"] * 30)
    assert prepare_text(config(), small_webmix, quiet).tokenizer.text() == before
    few = prepare_text(config(tokenizer_documents=20), small_webmix, quiet).tokenizer.text()
    assert few != before
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", [*sentences(20), *["xylophone music"] * 30])
    assert prepare_text(config(tokenizer_documents=20), small_webmix, quiet).tokenizer.text() == few


def test_a_share_is_held_out(config, tmp_path, write_jsonl, sentences):
    texts = sentences(300)
    write_jsonl(tmp_path / "a.jsonl", [*texts, *texts[:50]])
    described = config("text", train=["a.jsonl"], validation_share=0.1, vocabulary=260)
    data = prepare_text(described, tmp_path, quiet)
    train, validation = documents_of(data, "train"), documents_of(data, "validation")
    assert sorted([*train, *validation]) == sorted([*texts, *texts[:50]])
    assert not set(train) & set(validation)
    assert 15 < len(set(validation)) < 50


def test_validation_documents_are_taken_out_of_training(config, small_webmix, write_jsonl, sentences):
    write_jsonl(small_webmix / "text/webmix.train.jsonl.gz", [*sentences(60), "", *sentences(10, salt=1000)])
    log: list[str] = []
    data = prepare_text(config(), small_webmix, log.append)
    assert documents_of(data, "train") == sentences(60)
    left_out = "left out 1 empty documents, and 10 of the training files that are validation documents"
    assert f"{config().title}: {left_out}" in log


@pytest.mark.parametrize("most", [77, 170])  # in the first batch, and in a later one
def test_limits(config, small_webmix, small_shards, sentences, most):
    data = prepare_text(config(documents=70, validation_tokens=most), small_webmix, quiet)
    assert documents_of(data, "train") == sentences(70)
    assert len(data.validation) == most
    whole = prepare_text(config(documents=70), small_webmix, quiet)
    assert len(whole.validation) > 200
    assert data.validation.take([0], most - 1).tolist() == whole.validation.take([0], most - 1).tolist()
    documents = prepare_text(config(documents=70, validation_tokens=most, packing="document"), small_webmix, quiet)
    count = documents.validation.sequences(4)
    assert documents.validation.targets(range(count), 4) <= most
    of_all = load_text(config(documents=70, packing="document"), small_webmix).validation
    assert of_all.sequences(4) == 10 == count or of_all.targets(range(count + 1), 4) > most


def test_both_packings_read_what_was_prepared_once(config, small_webmix, sentences):
    stream = prepare_text(config(), small_webmix, quiet)
    log: list[str] = []
    documents = prepare_text(config(packing="document"), small_webmix, log.append)
    assert len(log) == 1  # nothing was to do
    assert len(documents.train) == len(stream.train)
    encode = documents.tokenizer.encode
    wanted = [[*encode(text), documents.end_of_text][:5] for text in sentences(200)]
    taken = documents.train.take(range(documents.train.sequences(4)), 4).tolist()
    assert [[token for token in row if token != PADDING] for row in taken] == wanted
    assert "(of each document the first 5)" in documents.source
    assert "of each document" not in stream.source


def test_files_and_a_share_of_the_others_are_held_out(config, small_webmix, sentences):
    data = prepare_text(config(validation_share=0.1), small_webmix, quiet)
    train, validation = documents_of(data, "train"), documents_of(data, "validation")
    assert validation[:10] == sentences(10, salt=1000)
    assert sorted([*train, *validation[10:]]) == sorted(sentences(200))
    assert 8 < len(validation) - 10 < 40


def test_the_same_text_gives_the_same_bytes(config, small_webmix, tmp_path):
    for cache in (tmp_path / "one", tmp_path / "two"):
        prepare_text(config(), small_webmix, quiet, cache)
    one, two = (contents(cache_folder(config(), None, tmp_path / name)) for name in ("one", "two"))
    assert one == two


def test_neither_shards_nor_batches_change_the_stream(config, small_webmix, monkeypatch):
    prepare_text(config(), small_webmix, quiet)
    (path,) = cache_folder(config(), small_webmix, None).glob("train.*.tokens")
    whole = path.read_bytes()
    for shard, batch in ((1000, 100), (97, 10_000), (333, 1)):
        monkeypatch.setattr("chtexp.data.text.shards.SHARD", shard)
        monkeypatch.setattr("chtexp.data.text.build.BATCH", batch)
        cache = small_webmix / f"{shard}"
        prepare_text(config(), small_webmix, quiet, cache)
        paths = sorted(cache_folder(config(), None, cache).glob("train.*.tokens"))
        assert b"".join(path.read_bytes() for path in paths) == whole


def test_what_changes_numbers_has_its_own_folder(config, small_webmix):
    changes = ({"vocabulary": 280}, {"documents": 50}, {"tokenizer_documents": 9})
    known = {cache_folder(config(**change), small_webmix, None) for change in ({}, *changes)}
    assert len(known) == 1 + len(changes)
    same = ({"sequence_length": 9}, {"packing": "document"}, {"validation_tokens": 50}, {"title": "Other words"})
    assert {cache_folder(config(**change), small_webmix, None) for change in same} <= known


def test_every_format_gives_the_same(config, tmp_path, write_jsonl, sentences):
    texts = sentences(60)
    write_jsonl(tmp_path / "openwebtext/plain_text/train-00000-of-00002.parquet.jsonl", [])  # not of the pattern
    for n in range(2):
        path = tmp_path / f"openwebtext/plain_text/train-0000{n}-of-00002.parquet"
        pq.write_table(pa.table({"text": texts[n * 30 : n * 30 + 30]}), path)
    write_jsonl(tmp_path / "c4/en/c4-train.00000-of-00001.json.gz", texts)
    write_jsonl(tmp_path / "c4/en/c4-validation.00000-of-00001.json.gz", sentences(5, salt=500))
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    for n, text in enumerate(texts):
        (tmp_path / f"one{n:02}.txt").write_text(text)
    share = {"validation_share": 1e-6}
    described = (
        config("openwebtext", **share),
        config("c4"),
        config("text", train=["a.txt"], **share),
        config("text", train=["one*.txt"], plain_text="file", **share),
    )
    for one in described:
        folder = cache_folder(one, tmp_path, None)
        if one.validation:
            assert documents_of(prepare_text(one, tmp_path, quiet), "train") == texts
        else:  # nothing is held out of so few: the data are there, but too small to load
            with pytest.raises(
                ValueError, match="has 0 validation tokens, too few for one sequence of 4 and its target"
            ):
                prepare_text(one, tmp_path, quiet)
            assert json.loads((folder / MANIFEST).read_text())["documents"] == {"train": 60}
    streams = {(cache_folder(one, tmp_path, None) / "train.00000.tokens").read_bytes() for one in described}
    assert len(streams) == 1


# --- loading -----------------------------------------------------------------------------------------------


def test_loading_touches_neither_network_nor_raw_text(config, small_webmix, tmp_path, monkeypatch):
    wanted = prepare_text(config(), small_webmix, quiet, tmp_path / "cache")
    for path in small_webmix.glob("text/*"):
        path.unlink()
    monkeypatch.setattr(socket, "socket", None)
    data = load_text(config(), None, tmp_path / "cache")
    assert documents_of(data, "train") == documents_of(wanted, "train")
    assert data.source == wanted.source
    log: list[str] = []
    prepare_text(config(), small_webmix, log.append, tmp_path / "cache")  # raw text may go once it is prepared
    assert len(log) == 1


def test_loading_imports_no_transformers_and_no_datasets(config, small_webmix):
    prepare_text(config(), small_webmix, quiet)
    code = (
        "import sys; from pathlib import Path; from chtexp.config.text import TextDataConfig; "
        "from chtexp.data.text import load_text; "
        "load_text(TextDataConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2])); "
        "assert not {'transformers', 'datasets', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, config().model_dump_json(), str(small_webmix)], check=True, timeout=60)


def test_not_prepared_names_the_command(config, small_webmix):
    folder = cache_folder(config(), small_webmix, None)
    assert error_of(load_text, config(), small_webmix).startswith(
        f"{config().title} is not prepared: no {folder}; run 'chtexp prepare data=webmix', or set paths.data"
    )
    prepare_text(config(vocabulary=280), small_webmix, quiet)
    assert "prepared with other settings or versions, but not with these" in error_of(load_text, config(), small_webmix)


@pytest.mark.parametrize("call", [load_text, prepare_text])
def test_no_root(config, call):
    assert error_of(call, config(), None).startswith(
        f"{config().title} needs a data folder: set CHTEXP_DATA or paths.data"
    )


@pytest.mark.parametrize(("split", "length"), [("train", 10_000), ("validation", 1000)])
def test_too_small_for_one_sequence(config, small_webmix, split, length):
    data = prepare_text(config(), small_webmix, quiet)
    tokens = len(getattr(data, split))
    message = f"{config().title} has {tokens} {split} tokens, too few for one sequence of {length} and its target"
    if split == "train":
        length = tokens
        message = message.replace("10000", str(length))
        write = config(sequence_length=length)
        assert error_of(load_text, write, small_webmix).startswith(message)
        assert "validation tokens" in error_of(load_text, config(sequence_length=length - 1), small_webmix)
    else:
        assert error_of(load_text, config(sequence_length=length), small_webmix).startswith(message)
        load_text(config(sequence_length=tokens - 1), small_webmix)


def test_vocabulary_size(config, small_webmix):
    few = config(vocabulary=5000)
    assert vocabulary_size(few, None) == vocabulary_size(few, small_webmix) == 5000
    data = prepare_text(few, small_webmix, quiet)
    assert 300 < vocabulary_size(few, small_webmix) == data.vocabulary < 5000


# --- real --------------------------------------------------------------------------------------------------


def test_real_webmix(real_webmix, config, real_root):
    data = real_webmix
    assert data.vocabulary == 8000
    train, validation = documents_of(data, "train"), documents_of(data, "validation")
    assert (len(train), len(validation)) == (4359, 229)
    assert not set(train) & set(validation)
    assert sum(map(len, train)) == 20_706_837
    assert 3.5 < 20_706_837 / len(data.train) < 4.5  # characters a token
    assert data.train.take([7, 0], 256).shape == (2, 257)


def test_real_speed(real_root, real_webmix, config, tmp_path, capsys):
    """At least one megabyte of text a second and core."""
    path = tmp_path / "tokenizer.json"
    path.write_text(real_webmix.tokenizer.text())
    described = config(
        tokenizer="given", tokenizer_file=str(path), vocabulary=8000, sequence_length=256, documents=1000
    )
    start, used = time.perf_counter(), time.process_time()
    data = prepare_text(described, real_root, quiet, tmp_path / "cache")
    wall, cores = time.perf_counter() - start, time.process_time() - used
    size = sum(len(text.encode()) for text in documents_of(data, "train")) / 1e6
    with capsys.disabled():
        print(f" {size / wall:.1f} MB/s, {size / cores:.1f} MB a second of a core ({os.cpu_count()} cores) ", end="")
    assert size / cores > 1
