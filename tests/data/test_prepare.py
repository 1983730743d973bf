"""Fetching and mending, from a mirror on this machine."""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from chtexp.data import IMAGE_SETS, load_images, prepare_images
from chtexp.errors import UserError

FASHION = "FashionMNIST/raw"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A folder, and the address under which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def fashion(mirror, shrink, idx_files, monkeypatch):
    """A small Fashion-MNIST on the mirror: its arrays."""
    folder, address = mirror
    shrink("fashion_mnist")
    arrays = idx_files(folder, "train", "t10k", classes=10, zipped=True)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [address])
    resources = [(f"{name}.gz", md5(folder / f"{name}.gz")) for name in arrays]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    return arrays


def test_digits_need_nothing(capsys):
    assert len(prepare_images("digits", None).train_images) == 1437
    assert capsys.readouterr().out == ("digits: comes with a library (scikit-learn digits), there is nothing to do\n")


def test_fashion_mnist_is_fetched_once_and_noted(tmp_path, fashion, mirror):
    root, log = tmp_path / "new" / "root", []
    data = prepare_images("fashion_mnist", root, log.append)
    assert data.train_images[:, 0].numpy().tolist() == fashion["train-images-idx3-ubyte"].tolist()
    assert log[0].startswith("Fashion-MNIST not found: no train-images-idx3-ubyte, ")
    assert log[1:] == [
        f"Fashion-MNIST: fetching from {mirror[1]}",
        f"Fashion-MNIST: wrote the checksums of 4 files to {root / FASHION / 'chtexp-sha256.json'}",
        f"Fashion-MNIST: 10 train and 4 test images, checked, from torchvision files in {root / FASHION}",
    ]
    noted = json.loads((root / FASHION / "chtexp-sha256.json").read_text())
    assert sorted(noted) == sorted(fashion)
    assert sorted(path.name for path in (root / FASHION).iterdir()) == sorted([*fashion, "chtexp-sha256.json"])
    assert [path.name for path in root.iterdir()] == ["FashionMNIST"]

    for path in mirror[0].iterdir():
        path.unlink()
    log.clear()
    again = prepare_images("fashion_mnist", root, log.append)
    assert torch.equal(again.train_images, data.train_images)
    assert len(log) == 1


@pytest.mark.usefixtures("fashion")
def test_a_corrupt_file_is_mended(tmp_path):
    prepare_images("fashion_mnist", tmp_path, log=lambda _: None)
    path = tmp_path / FASHION / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="is corrupt"):
        load_images("fashion_mnist", tmp_path)
    log: list[str] = []
    prepare_images("fashion_mnist", tmp_path, log.append)
    assert log[0].startswith(f"{path} is corrupt: expected sha256:")
    assert path.read_bytes() == whole
    load_images("fashion_mnist", tmp_path)


def test_an_archive_put_there_by_hand_needs_no_network(tmp_path, fashion, mirror):
    folder = tmp_path / "root" / FASHION
    folder.mkdir(parents=True)
    for archive in mirror[0].iterdir():
        archive.rename(folder / archive.name)
    data = prepare_images("fashion_mnist", tmp_path / "root", log=lambda _: None)
    assert data.test_labels.tolist() == fashion["t10k-labels-idx1-ubyte"].tolist()


def test_emnist_keeps_the_balanced_split(tmp_path, mirror, shrink, idx_files, monkeypatch):
    shrink("emnist")
    folder, address = mirror
    arrays = idx_files(tmp_path, "emnist-balanced-train", "emnist-balanced-test", 47, zipped=True)
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        archive.writestr("gzip/", "")
        for name in arrays:
            archive.write(tmp_path / f"{name}.gz", f"gzip/{name}.gz")
        archive.writestr("gzip/emnist-letters-test-labels-idx1-ubyte.gz", gzip.compress(b"other"))
    monkeypatch.setattr(datasets.EMNIST, "url", f"{address}gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(folder / "gzip.zip"))
    data = prepare_images("emnist", tmp_path / "root", log=lambda _: None)
    stored = torch.from_numpy(arrays["emnist-balanced-test-images-idx3-ubyte"])
    assert torch.equal(data.test_images[:, 0], stored.transpose(1, 2))
    kept = sorted(path.name for path in (tmp_path / "root/EMNIST/raw").iterdir())
    assert kept == sorted([*arrays, "chtexp-sha256.json"])


def test_cifar100_is_fetched_and_mended(tmp_path, mirror, shrink, cifar_files, monkeypatch):
    shrink("cifar100")
    folder, address = mirror
    cifar_files(tmp_path / "cifar-100-python", "CIFAR100")
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-100-python", "cifar-100-python")
    monkeypatch.setattr(datasets.CIFAR100, "url", f"{address}cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "filename", "cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", md5(folder / "cifar.tar.gz"))
    root, log = tmp_path / "root", []
    prepare_images("cifar100", root, log.append)
    assert not (root / "cifar-100-python/chtexp-sha256.json").exists()  # its checksums are published
    (root / "cifar-100-python/train").write_bytes(b"")
    prepare_images("cifar100", root, log.append)
    assert any(line.startswith(f"{root / 'cifar-100-python/train'} is corrupt: ") for line in log)
    assert len(load_images("cifar100", root).train_images) == 10


def test_emnist47_cannot_be_downloaded(tmp_path):
    root = tmp_path / "root"
    with pytest.raises(UserError, match=r"EMNIST47 not found: .*; it cannot be downloaded: copy the files there"):
        prepare_images("emnist47", root)
    assert not root.exists()


def test_emnist47_is_checked(tmp_path, shrink, idx_files):
    shrink("emnist47")
    idx_files(tmp_path / "EMNIST47/raw", "emnist47-train", "emnist47-test", classes=47)
    log: list[str] = []
    prepare_images("emnist47", tmp_path, log.append)
    said = "10 train and 4 test images, checked, from EMNIST47, a stand-in for EMNIST balanced"
    assert log[-1] == f"EMNIST47: {said} in {tmp_path / 'EMNIST47/raw'}"
    (tmp_path / "EMNIST47/raw/emnist47-test-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match=r"is corrupt: .*; it cannot be downloaded: copy its files there again"):
        prepare_images("emnist47", tmp_path)


@pytest.mark.parametrize("name", sorted(set(IMAGE_SETS) - {"digits", "emnist47"}))
def test_without_a_network_one_clear_line(tmp_path, name):
    spec, log = IMAGE_SETS[name], []
    kind = getattr(datasets, spec.torchvision)
    address = getattr(kind, "url", None) or kind.mirrors[0]
    with pytest.raises(UserError) as caught:
        prepare_images(name, tmp_path / "root", log.append)
    message = str(caught.value)
    assert message.startswith(f"could not download {spec.title} from {address}")
    assert "no network" in message
    assert f"without a network, copy {next(iter(spec.sources[0].files()))}" in message
    assert message.endswith(f"into {tmp_path / 'root' / spec.sources[0].folder}")
    assert "\n" not in message
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # torchvision leaves the socket of a 404 open
@pytest.mark.usefixtures("fashion")
@pytest.mark.parametrize("damage", ["absent", "other"])
def test_a_mirror_that_serves_something_else(tmp_path, mirror, damage):
    served = mirror[0] / "t10k-images-idx3-ubyte.gz"
    if damage == "absent":
        served.unlink()
    else:
        served.write_bytes(gzip.compress(b"other"))
    old = tmp_path / "root" / FASHION / "train-labels-idx1-ubyte"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    with pytest.raises(UserError, match=f"could not download Fashion-MNIST from {mirror[1]}: "):
        prepare_images("fashion_mnist", tmp_path / "root", log=lambda _: None)
    assert old.read_bytes() == b"old"
    assert [path.name for path in old.parent.iterdir()] == [old.name]
    gc.collect()


def test_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"cannot write to the data folder {tmp_path / 'file' / 'root'}: "):
        prepare_images("mnist", tmp_path / "file" / "root", log=lambda _: None)


def test_no_root():
    with pytest.raises(UserError, match="set CHTEXP_DATA"):
        prepare_images("mnist", None)


@pytest.mark.usefixtures("fashion")
def test_a_folder_that_cannot_be_noted_is_told(tmp_path, monkeypatch):
    prepare_images("fashion_mnist", tmp_path, log=lambda _: None)
    (tmp_path / FASHION / "chtexp-sha256.json").unlink()

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("chtexp.data.prepare.write_manifest", denied)
    log: list[str] = []
    prepare_images("fashion_mnist", tmp_path, log.append)
    assert log[0].endswith("chtexp-sha256.json: Permission denied")
