"""Exported image classifiers: small, loaded from plain data, equal to the network of the run, written whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec as really_find
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from chtexp.cli import export as command
from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.run.execute import execute
from chtexp.sparse.cpu.csr import CsrLinear
from chtexp.store import Damaged
from chtexp.trained.architecture import build, describe, plain
from chtexp.trained.classifier import Classifier
from chtexp.trained.exported import load_exported, read_described

QUICK = ("--seconds", "0.01")
FILES = {"model.safetensors", "model.onnx", "summary.json", "README.md", "SHA256SUMS"}


def values(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def exported(chtexp: Callable, run: Run, folder: Path, *flags: str) -> str:
    return chtexp("export", str(run.folder.path), str(folder), *QUICK, *flags).stdout


@pytest.fixture
def sparse_run(small_run: Callable[..., Run]) -> Run:
    run = small_run("method=chts_n", "method.sparsity=0.95")
    execute(run, "command")
    return run


def test_a_folder_holds_the_network_small_equal_and_checked(
    sparse_run: Run, chtexp: Callable, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "mine"
    said = exported(chtexp, sparse_run, folder)
    assert "compact, links" in said
    assert {path.name for path in folder.iterdir()} == FILES
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []
    assert not [path for path in folder.iterdir() if str(tmp_path).encode() in path.read_bytes()]

    classifier, result = Classifier(sparse_run.folder.path), sparse_run.folder.finished()
    assert result is not None
    wanted = classifier.network(classifier.images)
    network, by_links = load_exported(folder), load_exported(folder, "csr")
    assert {type(module) for module in network} == {nn.Flatten, nn.Linear, nn.ReLU}
    assert any(isinstance(module, CsrLinear) for module in by_links)
    for loaded in (network, by_links):
        torch.testing.assert_close(loaded(classifier.images), wanted, atol=1e-5, rtol=1e-5)
    accuracy = 100 * (network(classifier.images).argmax(1) == classifier.labels).double().mean().item()
    assert accuracy == pytest.approx(result.last)

    summary = values(folder)
    assert set(summary["accuracy"].values()) == {result.last}
    assert summary["anp"] == result.anp
    assert [layer["neurons"] for layer in summary["layers"]] == [40, 40, 40, 10]
    assert [layer["kept"] for layer in summary["layers"]] == [
        one.out_features for one in network if isinstance(one, nn.Linear)
    ]
    assert sum(layer["kept"] for layer in summary["layers"]) < 130
    active = sum(layer["linked"] for layer in summary["layers"][:-1]) + summary["layers"][2]["kept"]
    assert active / (64 + 40 + 40 + 40) == pytest.approx(result.anp)
    sizes = summary["sizes"]
    assert (
        sizes["compact_parameters"]
        == sum(one.numel() for one in network.parameters())
        < sizes["dense_parameters"]
        == 6290
    )
    assert sizes["dense_bytes"] == 4 * 6290
    timed = [(one["execution"], one["batch"]) for one in summary["speed"]["timings"]]
    assert sorted(timed) == sorted((name, batch) for name in summary["accuracy"] for batch in (1, 256))
    assert all(one["milliseconds"] > 0 for one in summary["speed"]["timings"])
    assert f"{result.last:.2f}%" in (folder / "README.md").read_text()


def test_the_onnx_file_takes_batches_of_any_size(sparse_run: Run, chtexp: Callable, tmp_path: Path) -> None:
    exported(chtexp, sparse_run, tmp_path / "mine")
    model = onnx.load(tmp_path / "mine" / "model.onnx")
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    notes = {one.key: one.value for one in model.metadata_props}
    described = read_described(tmp_path / "mine")
    assert notes == {name: str(value) for name, value in described["inputs"].items()}
    session = onnxruntime.InferenceSession(tmp_path / "mine" / "model.onnx", providers=["CPUExecutionProvider"])
    network = load_exported(tmp_path / "mine")
    for batch in (1, 7):
        images = torch.randn(batch, 1, 8, 8)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), network(images), atol=1e-5, rtol=1e-5)


def test_a_dense_run_keeps_all_its_neurons(small_run: Callable[..., Run], chtexp: Callable, tmp_path: Path) -> None:
    run = small_run("method=fc")
    execute(run, "command")
    said = exported(chtexp, run, tmp_path / "mine", "--format", "safetensors")
    assert "100.0% of the hidden neurons" in said
    assert "links" not in values(tmp_path / "mine")["accuracy"]
    assert {path.name for path in (tmp_path / "mine").iterdir()} == FILES - {"model.onnx"}
    assert not any(isinstance(module, CsrLinear) for module in load_exported(tmp_path / "mine", "csr"))


def test_mistakes_are_one_line_and_leave_nothing(
    sparse_run: Run, chtexp: Callable, tmp_path: Path, monkeypatch
) -> None:
    full, run = tmp_path / "full", str(sparse_run.folder.path)
    full.mkdir()
    (full / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for words, wanted in (
        ([run, str(full)], "is not empty; name a new folder"),
        ([run, str(tmp_path / "file")], "is a file; name a new folder"),
        ([run, "mine", "--device", "cuda"], "on the CPU: leave out --device"),
        ([run, "mine", "--seconds", "0"], "'0' is no number above 0"),
        ([run, "mine", "--format", "pickle"], "invalid choice: 'pickle'"),
        ([str(sparse_run.folder.path.parent), "mine"], "it holds seed-0; name one"),
    ):
        said = chtexp("export", *words, check=2).stderr.strip()
        assert wanted in said
        assert "\n" not in said
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "onnxscript" else really_find(name))
    said = chtexp("export", run, "mine", check=2).stderr
    assert (
        "model.onnx needs onnxscript: pip install 'chtexp[export]', or write the rest with --format safetensors" in said
    )
    for path in sparse_run.folder.checkpoints.iterdir():
        path.rename(path.with_suffix(".gone"))
    assert "has lost its last checkpoint" in chtexp("export", run, "mine", check=1).stderr
    assert not (tmp_path / "mine").exists()


def test_mistakes_are_said_before_torch_is_loaded(sparse_run: Run, tmp_path: Path) -> None:
    sparse_run.folder.result.unlink()
    code = (
        "import sys\nfrom chtexp.cli import main\n"
        f"try: main(['export', {str(sparse_run.folder.path)!r}, 'mine'])\n"
        "except SystemExit as ended: print(ended.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "2 False"
    assert "is not done yet" in done.stderr


def test_another_accuracy_than_the_runs_is_an_error(sparse_run: Run, tmp_path: Path) -> None:
    classifier = Classifier(sparse_run.folder.path)
    classifier.labels = (classifier.labels + 1) % 10
    with pytest.raises(UserError, match=r"dense, torch: has a test accuracy of .*, and the run ended at"):
        classifier.export(tmp_path / "mine", lambda *given: pytest.fail("nothing is timed"), onnx=False)
    assert list(tmp_path.glob("*mine*")) == []


def test_an_export_that_is_interrupted_leaves_nothing(sparse_run: Run, tmp_path: Path) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Classifier(sparse_run.folder.path).export(tmp_path / "mine", interrupted, onnx=False)
    assert list(tmp_path.glob("*mine*")) == []


def test_an_empty_folder_is_written_even_if_it_is_the_current_one(sparse_run: Run, tmp_path: Path, monkeypatch) -> None:
    here = tmp_path / "mine"
    here.mkdir()
    monkeypatch.chdir(here)
    untimed = {"machine": "none", "threads": 1, "busy_with_others": None, "timings": []}
    Classifier(sparse_run.folder.path).export(Path(), lambda *given: untimed, onnx=False)
    assert {path.name for path in here.iterdir()} == FILES - {"model.onnx"}


def test_what_was_changed_is_not_loaded(sparse_run: Run, chtexp: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    exported(chtexp, sparse_run, folder, "--format", "safetensors")
    with pytest.raises(UserError, match=r"unknown execution 'crs' \(did you mean 'csr'\?\)"):
        load_exported(folder, "crs")
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(Damaged, match="is not what SHA256SUMS says"):
        load_exported(folder)
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        load_exported(tmp_path)


class Residual(nn.Module):
    """A block whose input is read twice, and one with fewer pixels and more channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.norm = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding="same"), nn.BatchNorm2d(4)
        self.smaller, self.drop, self.last = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        below = torch.relu(self.first(images))
        deep = torch.relu(self.norm(self.inner(below)) + below)
        through = nn.functional.pad(deep[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
        return self.last(self.drop(torch.relu(self.smaller(deep) + through).mean((2, 3))))


def test_a_network_is_rebuilt_from_plain_data() -> None:
    model = Residual().eval()
    model.norm.running_mean.normal_()
    described = json.loads(json.dumps(describe(model)))
    assert [layer["module"] for layer in described][-4:] == ["Add", "ReLU", "Mean", "Linear"], "no dropout"
    rebuilt = build(described)
    rebuilt.load_state_dict(plain(model).state_dict())
    images = torch.randn(3, 1, 9, 9)
    assert torch.equal(rebuilt(images), model(images))


def test_a_network_that_is_not_plain_is_refused() -> None:
    class Sine(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.sin(inputs)

    class Branches(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs if inputs.sum() > 0 else -inputs

    twice = nn.Linear(3, 3)
    for model, wanted in (
        (nn.Sequential(nn.Linear(3, 3), Sine()), "does what is none of torch's modules: .*sin"),
        (Branches(), "cannot be traced"),
        (nn.Sequential(twice, twice), "applies one layer several times"),
    ):
        with pytest.raises(UserError, match=wanted):
            describe(model.eval())
    with pytest.raises(ValueError, match=r"torch\.nn has no module 'system'"):
        build([{"module": "system", "settings": {}, "reads": [-1]}])
