"""The hub, as far as it can be had without a network: its libraries on local files, and every way in which it fails."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepared_folders import contents, error_of, quiet

from chtexp.data.prepared import MANIFEST
from chtexp.data.text import load_text, prepare_text
from chtexp.data.text.cache import cache_folder
from chtexp.data.text.hub import fetch_tokenizer


class Rows(list):
    """A stream of the library `datasets`, of which it is told what is asked."""

    def skip(self, first: int) -> Rows:
        return Rows(self[first:])


@pytest.fixture
def hub(monkeypatch, sentences):
    """A hub with C4 of 200 and 10 rows; what was asked of it, and its revision, which a test may change."""
    asked: list[tuple] = []
    splits = {"train": sentences(200), "validation": sentences(10, salt=1000)}
    state = SimpleNamespace(asked=asked, revision="abc", splits=splits)

    def load_dataset(name, config, *, split, revision, streaming):
        asked.append((name, config, split, revision, streaming))
        return Rows({"text": text, "url": "u"} for text in splits[split])

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name: SimpleNamespace(sha=state.revision))
    return state


def tokens_in(folder: Path) -> dict[str, bytes]:
    """What is in a prepared folder but for its manifest, which says where it is from."""
    return {name: content for name, content in contents(folder).items() if name != MANIFEST}


def test_streamed_as_from_files(config, hub, tmp_path, write_jsonl):
    prepare_text(config("c4"), tmp_path / "empty", quiet, tmp_path / "streamed")
    assert set(hub.asked) == {("allenai/c4", "en", split, "abc", True) for split in ("train", "validation")}
    for split, texts in hub.splits.items():
        write_jsonl(tmp_path / f"root/c4/en/c4-{split}.00000-of-00001.json.gz", texts)
    hub.asked.clear()
    prepare_text(config("c4"), tmp_path / "root", quiet, tmp_path / "local")
    assert hub.asked == []  # files that are there are taken first
    streamed, local = (cache_folder(config("c4"), None, tmp_path / name) for name in ("streamed", "local"))
    assert tokens_in(streamed) == tokens_in(local)
    raw = json.loads((streamed / MANIFEST).read_text())["raw"]
    assert raw == {
        f"allenai/c4:en:{split}": {"split": split, "bytes": None, "checksum": "revision:abc"}
        for split in ("validation", "train")
    }


def test_what_was_streamed_stays_without_a_network_and_when_files_come(config, hub, tmp_path, write_jsonl, monkeypatch):
    prepare_text(config("c4"), tmp_path, quiet)
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", None)
    write_jsonl(tmp_path / "c4/en/c4-train.00000-of-00001.json.gz", ["other"])
    log: list[str] = []
    prepare_text(config("c4"), tmp_path, log.append)
    assert len(log) == 1
    load_text(config("c4"), tmp_path)


class Lost(Rows):
    """A connection that breaks after 150 rows."""

    def skip(self, first: int) -> Lost:
        return Lost(super().skip(first))

    def __iter__(self):
        for number, row in enumerate(super().__iter__()):
            if number == 150:
                raise ConnectionError("Connection\nlost")
            yield row


@pytest.mark.parametrize(("revision", "said"), [("abc", "going on after"), ("def", "begins anew")])
def test_a_lost_connection_is_gone_on_from(config, hub, tmp_path, small_shards, monkeypatch, revision, said):
    prepare_text(config("c4", tokenizer_documents=20), tmp_path / "whole", quiet)
    whole = sys.modules["datasets"].load_dataset
    lost = SimpleNamespace(load_dataset=lambda *names, **options: Lost(whole(*names, **options)))
    described = config("c4", tokenizer_documents=20)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "datasets", lost)
        assert error_of(prepare_text, described, tmp_path / "cache", quiet) == (
            "cannot get the data set allenai/c4 from the hub: Connection lost; "
            f"put its files there by hand: {tmp_path}/cache/c4/en/c4-train.*.json.gz"
        )
    hub.revision = revision
    log: list[str] = []
    prepare_text(described, tmp_path / "cache", log.append)
    assert said in log[1]
    one, two = (cache_folder(described, tmp_path / name, None) for name in ("whole", "cache"))
    assert tokens_in(one) == tokens_in(two)


def test_rows_that_are_wrong(config, hub, tmp_path, monkeypatch):
    rows = Rows([{"text": "a"}, {"text": None}])
    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", lambda *names, **options: rows)
    message = error_of(prepare_text, config("c4"), tmp_path, quiet)
    assert message.startswith(
        "allenai/c4, validation, row 2: the field 'text' is not text, but null"
    ) or message.startswith("allenai/c4, train, row 2: the field 'text' is not text, but null")


def test_without_a_network(config, tmp_path, monkeypatch):
    """There is none in any test."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    load = SimpleNamespace(load_dataset=lambda *names, **options: Rows())
    monkeypatch.setitem(sys.modules, "datasets", load)
    message = error_of(prepare_text, config("openwebtext"), tmp_path, quiet)
    assert message.startswith("cannot get the data set Skylion007/openwebtext from the hub: ")
    assert message.endswith(f"; put its files there by hand: {tmp_path}/openwebtext/**/*.parquet")


# --- tokenizers --------------------------------------------------------------------------------------------


def test_an_unknown_tokenizer_or_no_network(config, small_webmix, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between two attempts
    name = "chtexp-tests/there-is-none"
    for changes, place in (
        ({}, f"{small_webmix}/tokenizers/{name}"),
        ({"tokenizer_file": "tokenizers/x.json"}, f"{small_webmix}/tokenizers/x.json"),
        ({"tokenizer_file": "/nowhere/x.json"}, "/nowhere/x.json"),
    ):
        message = error_of(prepare_text, config(tokenizer=name, **changes), small_webmix, quiet)
        assert message.startswith(f"cannot get the tokenizer {name} from the hub: ")
        assert message.endswith(f"; put its tokenizer.json there by hand: {place}")


@pytest.mark.parametrize("settings", [True, False])
def test_a_tokenizer_of_the_hub(config, small_webmix, tmp_path, monkeypatch, settings):
    from huggingface_hub.errors import EntryNotFoundError

    learnt = prepare_text(config(), small_webmix, quiet).tokenizer
    (tmp_path / "tokenizer.json").write_text(learnt.text())
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "Ġ"}')
    asked = []

    def download(name, file):
        asked.append((name, file))
        if file == "tokenizer_config.json" and not settings:
            raise EntryNotFoundError("none")
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    data = prepare_text(config(tokenizer="some/model"), small_webmix, quiet)
    assert asked == [("some/model", "tokenizer.json"), ("some/model", "tokenizer_config.json")]
    assert data.tokenizer.end_token == ("Ġ" if settings else "<|endoftext|>")
    assert fetch_tokenizer("some/model", tmp_path)[1] == (tmp_path / "tokenizer_config.json" if settings else None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)  # neither to load it, nor to find it prepared
    load_text(config(tokenizer="some/model"), small_webmix)
    prepare_text(config(tokenizer="some/model"), small_webmix, quiet)


# --- the library itself, on local files --------------------------------------------------------------------


@pytest.fixture
def library(monkeypatch, tmp_path):
    """`datasets`, its hub aside."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name: SimpleNamespace(sha="abc"))


@pytest.mark.parametrize("form", ["parquet", "json.gz"])
def test_the_library_streams_what_files_hold(config, library, tmp_path, sentences, form, small_shards):
    texts = sentences(120)
    folder = tmp_path / "data/set"
    folder.mkdir(parents=True)
    for n in range(3):
        part = texts[n * 40 : n * 40 + 40]
        path = folder / f"train-0000{n}-of-00003.{form}"
        if form == "parquet":
            pq.write_table(pa.table({"text": part}), path)
        else:
            path.write_bytes(gzip.compress("".join(json.dumps({"text": text}) + "\n" for text in part).encode()))
    files = config("text", train=[f"{folder}/*.{form}"], validation_share=0.1)
    streamed = config("text", hub=str(folder), train=["nothing/*.parquet"], validation_share=0.1)
    prepare_text(files, None, quiet, tmp_path / "cache")
    prepare_text(streamed, None, quiet, tmp_path / "cache")
    one, two = (tokens_in(cache_folder(which, None, tmp_path / "cache")) for which in (files, streamed))
    assert one == two
    from chtexp.data.text.find import find_sources

    (source,) = find_sources(streamed, None)
    for first in (0, 39, 100, 120):
        assert list(source.documents(first)) == texts[first:]
