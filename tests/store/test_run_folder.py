"""Run folders: identity, and lines that survive a crash."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chtexp.store import RunFolder, run_id
from chtexp.store.files import last_line, read_lines, write_json
from chtexp.store.folder import slug
from chtexp.store.metric_lines import MetricLines
from chtexp.store.records import Moment, Record

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_identity_does_not_depend_on_order_or_on_a_trip_through_json(science) -> None:
    assert run_id(science) == run_id(dict(reversed(science.items()))) == run_id(json.loads(json.dumps(science)))


def test_identity_tells_configs_apart_but_not_spellings_of_a_number() -> None:
    assert run_id({"a": 1, "b": (1, 2)}) == run_id({"b": [1.0, 2.0], "a": 1.0})
    different = [{"a": 1}, {"a": 2}, {"a": True}, {"a": "1"}, {"a": None}, {"b": 1}, {"a": {"a": 1}}, {}]
    assert len({run_id(science) for science in different}) == len(different)


def test_a_name_is_readable_and_safe(tmp_path) -> None:
    assert slug("MEST_EM&S") == "mest_em_s"
    folder = RunFolder.of(tmp_path, ("mnist", "MEST_EM&S", "paper"), "0123456789", 7)
    assert folder.path == tmp_path / "mnist-mest_em_s-paper-0123456789" / "seed-7"


def test_a_file_is_whole_or_not_there(tmp_path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_content_and_name_are_on_disk_in_that_order(tmp_path, monkeypatch) -> None:
    """A power cut leaves what was synced: first what stands in the file, then, after the renaming, the folder's entry."""
    synced = []

    def record(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append(("folder" if stat.S_ISDIR(found.st_mode) else "file", found.st_ino, path.exists()))

    path = tmp_path / "result.json"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", record)
        write_json(path, {"a": 1})
    assert synced == [("file", path.stat().st_ino, False), ("folder", tmp_path.stat().st_ino, True)]


@pytest.mark.parametrize("refused", ["open", "fsync"])
def test_a_file_system_that_cannot_sync_a_folder_is_good_enough(refused: str, tmp_path, monkeypatch) -> None:
    real, descriptors = getattr(os, refused), len(os.listdir("/proc/self/fd"))

    def refuse(what, *arguments: int):
        if os.path.isdir(what if refused == "open" else f"/proc/self/fd/{what}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(what, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, refused, refuse)
        write_json(tmp_path / "result.json", {"a": 1})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": 1}
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_lines_are_cut_back_to_the_checkpoint_and_a_torn_line_is_passed_over(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = MetricLines(path, 0)
    lines.write({"step": 1})
    size = lines.size
    lines.write({"step": 2})
    lines.close()
    with path.open("ab") as file:
        file.write(b'{"step": 3, "los')
    assert [line.step for line in read_lines(path, Moment)] == [1, 2]
    lines = MetricLines(path, size)
    lines.write({"step": 9})
    lines.close()
    assert [line.step for line in read_lines(path, Moment)] == [1, 9]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=6000)), max_size=12), st.binary(max_size=20))
def test_the_last_line_is_found_from_the_end(records, torn) -> None:
    lines = [{"kind": kind, "text": text} for kind, text in records]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        written = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        path.write_bytes(written + torn.replace(b"\n", b""))
        for kind in "ab":
            wanted = next((line for line in reversed(lines) if line["kind"] == kind), None)
            found = last_line(path, Record, kind=kind)
            assert (found and found.plain) == wanted
    assert last_line(Path(folder) / "nowhere", Record) is None
