"""Files that are whole JSON and say what cannot be true, one by one: what is damaged is named, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sample_results import ENVIRONMENT, ID, found, result, science

from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.run.execute import execute
from chtexp.store import Damaged, Result, RunFolder, condition, run_id
from chtexp.store.collection import read_collection, write_collection
from chtexp.store.files import parsed, read_json, write_json
from chtexp.store.seal import sealed, unsealed
from chtexp.train.checkpoint import Checkpoints, load_weights
from chtexp.trained.load import with_selected_weights
from chtexp.trained.writer import Writer


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run that is done."""
    folder = RunFolder(tmp_path / f"mnist-set-paper-{ID}" / "seed-0")
    with folder.claimed() as signs:
        signs.start.end("failed", reason="x", step=3)
    folder.finish(result())
    return folder


def changed(folder: RunFolder, change: Callable[[dict], object], *, seal: bool) -> None:
    """Change what `result.json` says; seal: as of schema 2, with a checksum that fits, or as of schema 1, without any."""
    values = folder.read_result()
    assert values is not None
    change(values)
    folder.result.write_text(json.dumps(sealed(values) if seal else values))


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["science"].update(method="other"), "its science is that of another run"),
        (lambda r: r.update(id="0123456789"), "its science is that of another run"),
        (lambda r: r.update(seed=1), f"is the result of another run: {ID} seed 1"),
        (lambda r: r.update(science=science("CHT"), id=run_id(science("CHT"))), "is the result of another run"),
        (lambda r: r.update(links=1e309), "Out of range float"),
        (lambda r: r.update(links=-1), "links should be greater than or equal to 0"),
        (lambda r: r.update(steps=True), "steps should be a valid integer"),
        (lambda r: r.update(seconds=1e101), "seconds should be less than"),
        (lambda r: r["environment"].pop("cpu"), "environment.cpu missing"),
        (lambda r: r["environment"].update(libraries={}), "environment.libraries.torch missing"),
        (lambda r: r["science"].update(budget=[]), "science.budget"),
        (lambda r: r.update(extra=[[[[1e400]]]]), "Out of range float"),
    ],
)
def test_what_cannot_be_true_is_damage(folder: RunFolder, change: Callable, said: str, seal: bool) -> None:
    if "Out of range" in said:
        with_infinity(folder, change)
    else:
        changed(folder, change, seal=seal)
    if "extra" not in said:
        now = condition(folder)
        assert (now.state, now.result) == ("damaged", None)
        assert said in now.reason or "checksum" in now.reason
        assert "\n" not in now.reason


def with_infinity(folder: RunFolder, change: Callable[[dict], object]) -> None:
    values = folder.read_result()
    assert values is not None
    change(values)
    folder.result.write_text(json.dumps(values).replace("Infinity", "1e309"))


def test_a_changed_number_is_found(folder: RunFolder) -> None:
    folder.result.write_text(folder.result.read_text().replace('"reported": 97.5', '"reported": 99.5'))
    with pytest.raises(Damaged, match="is not what its checksum says"):
        folder.finished()
    values = result() | {"reported": 99.5}
    folder.result.write_text(json.dumps(values))  # of schema 1: the best disagrees
    with pytest.raises(Damaged, match=r"contradicts itself: reported is 99.5, and best is 97.5"):
        folder.finished()
    folder.result.write_text(json.dumps(result() | {"last": 1.0}))
    with pytest.raises(Damaged, match=r"last is 1.0, and metrics.accuracy is 97.5"):
        folder.finished()
    folder.result.write_text(json.dumps({**sealed(result()), "schema": 3}))
    with pytest.raises(Damaged, match="is of schema 3, and this version of chtexp reads 1 and 2"):
        folder.finished()
    folder.result.write_text(json.dumps({"schema": 1, **result()}))
    assert folder.finished() is not None
    folder.result.write_text(json.dumps({"schema": 2, **result()}))
    with pytest.raises(Damaged, match="has lost its checksum"):
        folder.finished()


def test_what_was_recorded_is_checked_once_a_run_is_done(folder: RunFolder) -> None:
    folder.metrics.write_text('{"kind": "evaluation", "step": 1, "accuracy": 50.5}\n')
    folder.finish(result())
    assert folder.read_metrics() == [{"kind": "evaluation", "step": 1, "accuracy": 50.5}]
    folder.metrics.write_text(folder.metrics.read_text().replace("50.5", "90.5"))
    with pytest.raises(Damaged, match=r"metrics.jsonl is damaged: it is not what its checksum says"):
        folder.read_metrics()


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"a": NaN}', b"\xff", b"1" * 5000, b"", b'{"a": '])
def test_what_is_no_json_is_damage(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(Damaged, match=r"x.json cannot be read"):
        read_json(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(Damaged, match=r"x.json cannot be read \(Is a directory\)"):
        read_json(path)
    assert parsed(b'{"a": 1}') == {"a": 1}


def test_copies_are_no_damage(folder: RunFolder) -> None:
    copy = folder.path.with_name("seed-0.bak")
    copy.mkdir()
    copied = RunFolder(copy)
    copied.result.write_text(folder.result.read_text())
    assert copied.finished() == folder.finished()
    assert not copied.is_of_a_run


def test_commands_that_cannot_be_read_hide_nothing(folder: RunFolder, chtexp: Callable, tmp_path: Path) -> None:
    runs = f"paths.runs={tmp_path}"
    other = RunFolder(folder.path.with_name("seed-1"))
    with other.claimed() as signs:
        signs.start.end("failed", reason="x", step=3)
    for make in (
        lambda: other.commands.write_bytes(b"\xff"),
        lambda: (other.commands.unlink(), other.commands.mkdir()),
        lambda: (other.commands.rmdir(), other.commands.write_text("chtexp train 'x")),
    ):
        make()
        listed = json.loads(chtexp("status", "--json", runs).stdout)
        assert [(run["seed"], run["state"]) for run in listed] == [("0", "done"), ("1", "failed")]
        assert "1 of 2 runs in" in chtexp("status", "--failed", runs).stdout
    write_json(other.path / "submitted.json", {"name": None})
    assert [run["state"] for run in json.loads(chtexp("status", "--json", runs).stdout)] == ["done", "damaged"]
    assert "1 of 2 runs in" in chtexp("status", "--failed", runs).stdout


# ---------------------------------------------------------------------- collected results


@pytest.mark.parametrize("name", ["all.jsonl", "all.parquet"])
def test_texts_that_look_like_lists_survive(name: str, tmp_path: Path) -> None:
    for source in ("[x] files", "{x}", "[1]", "plain"):
        kept = {(ID, 0): found(data_source=source), (ID, 1): found(1, data_source="files")}
        write_collection(tmp_path / name, kept)
        assert read_collection(tmp_path / name) == kept


def test_parquet_files_of_before_are_read(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    flat = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in result(data_source="[x] files").items()}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([flat]), tmp_path / "old.parquet")
    assert read_collection(tmp_path / "old.parquet")[ID, 0].plain == result(data_source="[x] files")


def test_a_damaged_line_costs_that_line_and_is_kept(tmp_path: Path, capfd, chtexp: Callable) -> None:
    lines = [result(seed) for seed in range(3)]
    lines[1] = {**lines[1], "environment": {k: v for k, v in ENVIRONMENT.items() if k != "cpu"}}
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"links": 1e309}\n')
    assert {seed for _, seed in read_collection(path)} == {0, 2}
    said = capfd.readouterr().err.splitlines()
    assert said[0].endswith(f"some.jsonl {ID} seed 1: is no whole result: environment.cpu missing")
    assert len(said) == 2
    before = path.read_bytes()
    (tmp_path / "more.jsonl").write_text(json.dumps(result(5, command="chtexp train 'x")) + "\n")
    said = chtexp("collect", "--output", "some.jsonl", "--add", "more.jsonl", check=0).stderr
    assert said.count("it is kept in some.jsonl.damaged") == 2
    assert (tmp_path / "some.jsonl.damaged").read_bytes() == before
    kept = read_collection(path)
    assert {seed for _, seed in kept} == {0, 2, 5}
    assert kept[ID, 5].command == "chtexp train 'x"


def test_what_an_older_or_a_newer_version_wrote_is_passed_on(tmp_path: Path) -> None:
    old = result() | {"unheard_of": {"deep": [1, 2.5, None]}}
    new = sealed(result(1) | {"later": [{"x": 1}], "deviations": []})
    kept = {(ID, 0): Result.of(old), (ID, 1): Result.of(new)}
    for name in ("all.jsonl", "all.parquet"):
        write_collection(tmp_path / name, kept)
        again = read_collection(tmp_path / name)
        assert {k: v for k, v in again[ID, 0].plain.items() if v is not None} == {
            k: v for k, v in old.items() if v is not None
        }
        assert again[ID, 1].plain["later"] == [{"x": 1}]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("torchvision files", ()),
        ("EMNIST47, a stand-in for EMNIST balanced", ("stand-in data (EMNIST47, a stand-in for EMNIST balanced)",)),
        ("parquet (JPEG images)", ("stand-in data (parquet (JPEG images))",)),
        ("C4 (2 of 4 training files): 30 documents", ("stand-in data (C4 (2 of 4 training files))",)),
    ],
)
def test_sentences_of_before_are_read_as_facts_and_others_are_not(source: str, said: tuple[str, ...]) -> None:
    assert found(data_source=source).deviations == said
    assert Result.of(sealed(result(data_source=source))).deviations == ()
    assert Result.of(sealed(result(data_source=source, deviations=["x"]))).deviations == ("x",)


# ---------------------------------------------------------------------- weights


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("content", [[1], {"step": 1}, {"dense": {}, "sparse": {"x": 1}, "step": 1}, "text"])
def test_weights_of_something_else_are_an_error(content: object, small_text: Callable[..., Run]) -> None:
    run = small_text("method=llama/set")
    execute(run, "test")
    torch.save(content, run.folder.selected)
    values = run.folder.read_result()
    assert values is not None
    run.folder.result.write_text(json.dumps(unsealed(values)))  # as of schema 1, which has no checksum of the weights
    with pytest.raises(Damaged, match=r"selected.pt does not hold the weights of this run"):
        Writer(run.folder.path, torch.device("cpu"))


def test_a_bit_flipped_in_weights_is_an_error(small_text: Callable[..., Run]) -> None:
    run = small_text("method=llama/set")
    execute(run, "test")
    weights = run.folder.selected
    written = Writer(run.folder.path, torch.device("cpu"))("Once", 4, temperature=0)
    whole = weights.read_bytes()
    for at in (len(whole) // 3, len(whole) // 2, len(whole) - 100):
        weights.write_bytes(whole)
        flipped(weights, at)
        with pytest.raises(UserError, match=r"selected.pt is damaged: it is not what its checksum says"):
            Writer(run.folder.path, torch.device("cpu"))
    weights.write_bytes(whole)
    values = run.folder.read_result()
    write_json(run.folder.result, values)  # as of before: nothing says the checksum of the weights
    assert Writer(run.folder.path, torch.device("cpu"))("Once", 4, temperature=0) == written
    flipped(weights, len(whole) // 2)
    with pytest.raises(UserError, match=r"selected.pt (is damaged|cannot be read)"):
        with_selected_weights(torch.nn.Linear(1, 1), run.folder.path, torch.device("cpu"))
    weights.write_bytes(whole)
    Writer(run.folder.path, torch.device("cpu")).export(run.folder.path / "out")
    sums = (run.folder.path / "out" / "SHA256SUMS").read_text()
    assert "model.safetensors" in sums
    assert "SHA256SUMS" not in sums


def test_any_flipped_bit_of_a_tensor_is_found(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"w": torch.arange(64.0)}, path)
    whole = path.read_bytes()
    start = whole.index(torch.arange(64.0).numpy().tobytes())
    for at in range(start, start + 256, 7):
        path.write_bytes(whole)
        flipped(path, at)
        with pytest.raises(Damaged):
            load_weights(path, torch.device("cpu"))
    path.unlink()
    path.mkdir()
    with pytest.raises(Damaged, match="cannot be read"):
        load_weights(path, torch.device("cpu"))


def test_a_checkpoint_that_cannot_be_opened_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, said.append)
    for step in (1, 2):
        checkpoints.save({"step": step}, step, wait=True)
    newest = max(tmp_path.glob("*.pt"))
    newest.unlink()
    newest.mkdir()
    state = checkpoints.load(torch.device("cpu"))
    assert state is not None
    assert state["step"] == 1
    assert "cannot be read (Is a directory); trying the one before" in said[0]
    for step in (3, 4):
        checkpoints.save({"step": step}, step, wait=True)
    assert len(list(tmp_path.glob("*.pt"))) == 2
