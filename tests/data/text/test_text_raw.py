"""Every format against what was written, and every error with its file and its line or row."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepared_folders import error_of

from chtexp.data.text.raw import FORMATS, read_documents
from chtexp.data.text.sources import LocalFile

# Unicode's own line separators do not end a line.
TEXTS = ["One.\nTwo\u2028 lines.", "", 'Grüße, 世界 🙂 "quoted" \\', "\tthree\r\n"]


def read(path: Path, field: str = "text", plain_text: str = "paragraphs") -> list[str]:
    return list(read_documents(path, field, plain_text))


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", [suffix for suffix in FORMATS if "json" in suffix])
def test_json_lines(tmp_path, name):
    rows = [{"url": "x", "text": text} for text in TEXTS]
    content = "".join(json.dumps(row, ensure_ascii=n % 2 == 0) + "\n" for n, row in enumerate(rows))
    assert read(put(tmp_path / f"a{name}", content.encode() + b"\n")) == TEXTS
    assert read(put(tmp_path / f"a{name}", b'{"body": "B"}'), field="body") == ["B"]  # no line break at the end


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_plain_text(tmp_path, name):
    path = put(tmp_path / name, "\n\nA dog\r\nruns.\n \t\n\nGrüße\u2028.\n\n".encode())
    assert read(path) == ["A dog\nruns.", "Grüße\u2028."]
    assert read(path, plain_text="file") == ["\n\nA dog\nruns.\n \t\n\nGrüße\u2028.\n"]
    assert read(put(tmp_path / name, b"")) == []
    assert read(tmp_path / name, plain_text="file") == [""]  # an empty document, which is counted as such


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("chtexp.data.text.raw.ROWS", 3)
    texts = TEXTS * 5
    pq.write_table(
        pa.table({"url": ["u"] * 20, "text": pa.array(texts, kind)}), tmp_path / "a.parquet", row_group_size=7
    )
    assert read(tmp_path / "a.parquet") == texts


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.parquet"])
def test_from_any_document_on(tmp_path, name):
    texts = [f"document {n}" for n in range(7)]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"text": texts}), path)
    else:
        put(path, "\n\n".join(json.dumps({"text": t}) if name == "a.jsonl" else t for t in texts).encode())
    source = LocalFile(name, path, "train", "text", "paragraphs")
    for first in range(9):
        assert list(source.documents(first)) == texts[first:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": \n', ", line 2: not JSON (Expecting value"),
        (b"\n[1, 2]\n", ", line 2: not an object with a field 'text', but [1, 2]"),
        (b'{"url": "u", "body": "b"}', ", line 1: no field 'text'; it has url, body: see data.text_field"),
        (b"{}", ", line 1: no field 'text'; it has none: see data.text_field"),
        (b'{"text": null}', ", line 1: the field 'text' is not text, but null"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ", line 1: "),
        (b'{"text": "a"}\n{"text": "\xff"}', ", line 2: not UTF-8 (invalid start byte); fetch the file again"),
        (b'{"text": "a"}\n{"text": "\\ud800"}', ", line 2: not UTF-8 (surrogates not allowed)"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json.gz"])
def test_wrong_json_lines(tmp_path, content, message, name):
    path = put(tmp_path / name, content)
    assert error_of(read, path).startswith(f"{path}{message}")


def test_wrong_plain_text(tmp_path):
    path = put(tmp_path / "a.txt", b"good\n\nbad \xe4\n")
    assert error_of(read, path).startswith(f"{path}, line 3: not UTF-8")


def test_wrong_gzip(tmp_path):
    path = put(tmp_path / "a.jsonl.gz", b'{"text": "%s"}\n' % os.urandom(3000).hex().encode() * 30)
    whole = path.read_bytes()
    for content in (whole[:-30], whole[:50] + b"?" * 30 + whole[80:], b"no gzip at all"):
        path.write_bytes(content)
        assert error_of(read, path).startswith(f"cannot read {path}: ")


def test_wrong_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no parquet")
    assert error_of(read, path).startswith(f"cannot read {path}: ")
    pq.write_table(pa.table({"url": ["u"], "body": ["b"]}), path)
    assert error_of(read, path) == f"{path}: no column 'text'; it has url, body: see data.text_field"
    pq.write_table(pa.table({"text": ["a", "b", None]}), path)
    assert error_of(read, path).startswith(f"{path}, row 3: the field 'text' is not text, but null")
    pq.write_table(pa.table({"text": pa.array([1])}), path)
    assert error_of(read, path).startswith(f"{path}, row 1: the field 'text' is not text, but 1")
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"text": broken}), path)
    assert error_of(read, path).startswith(f"{path}, row 2: not UTF-8")


def test_a_file_that_is_missing(tmp_path):
    assert error_of(read, tmp_path / "a.jsonl").startswith(f"cannot read {tmp_path}/a.jsonl: ")
    assert error_of(read, tmp_path / "a.parquet").startswith(f"cannot read {tmp_path}/a.parquet: ")
