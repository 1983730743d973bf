"""Shared by the tests of text data: small corpora in the original formats, small shards, and the real webmix."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from chtexp.config.text import TextDataConfig
from chtexp.config.typed import describe
from chtexp.data.text import TextData, prepare_text

CONF = Path(__file__).parents[3] / "conf" / "data"
SMALL = {"vocabulary": 300, "sequence_length": 4, "tokenizer": "bpe", "tokenizer_file": None, "packing": "stream"}
WORDS = ["the", "house", "of", "a", "small", "dog", "runs", "and", "sings", "over", "green", "hills", "while", "clouds"]


@pytest.fixture(scope="session")
def config() -> Callable[..., TextDataConfig]:
    """The description in conf/data/<name>.yaml, small, with changes."""

    def described(corpus: str = "webmix", /, **changes: object) -> TextDataConfig:
        values = yaml.safe_load((CONF / f"{corpus}.yaml").read_text())["data"] | SMALL | changes
        return describe(TextDataConfig, values, "data")

    return described


@pytest.fixture(scope="session")
def sentences() -> Callable[..., list[str]]:
    """Different documents, of one to thirty words."""

    def written(count: int, salt: int = 0) -> list[str]:
        return [
            " ".join(
                [f"Text {salt + n}:", *(WORDS[(n * k + k * k + salt) % len(WORDS)] for k in range(1 + n * 7 % 30))]
            )
            for n in range(count)
        ]

    return written


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[[Path, Iterable[str]], Path]:
    """Write documents as JSON lines, gzipped if the name says so, making the folder."""

    def write(path: Path, texts: Iterable[str]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = "".join(json.dumps({"text": text, "source": "here"}) + "\n" for text in texts).encode()
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture
def small_webmix(tmp_path, write_jsonl, sentences) -> Path:
    """A data root with a webmix of 200 training and 10 validation documents."""
    write_jsonl(tmp_path / "root/text/webmix.train.jsonl.gz", sentences(200))
    write_jsonl(tmp_path / "root/text/webmix.validation.jsonl.gz", sentences(10, salt=1000))
    return tmp_path / "root"


@pytest.fixture
def small_shards(monkeypatch) -> int:
    """Shards of 500 tokens, and batches of 300 characters; returns the former."""
    monkeypatch.setattr("chtexp.data.text.shards.SHARD", 500)
    monkeypatch.setattr("chtexp.data.text.build.BATCH", 300)
    return 500


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The data root with the real webmix; skipped where it is not at hand."""
    given = os.environ.get("CHTEXP_DATA")
    if not given or not (Path(given) / "text" / "webmix.train.jsonl.gz").exists():
        pytest.skip("CHTEXP_DATA is not set, or does not hold text/webmix.*.jsonl.gz")
    return Path(given)


@pytest.fixture(scope="session")
def real_webmix(real_root, tmp_path_factory, config) -> TextData:
    """The real webmix, prepared once a session with 8000 sub-words learnt from 500 documents."""
    described = config(vocabulary=8000, tokenizer_documents=500, sequence_length=256)
    return prepare_text(described, real_root, log=lambda _: None, cache=tmp_path_factory.mktemp("cache"))
