"""Loading: real files where they are at hand, small files in the same formats, and every way to be wrong."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from chtexp.data import IMAGE_SETS, load_images
from chtexp.data.images import MNIST_SHA256
from chtexp.errors import UserError

FASHION = "FashionMNIST/raw"
FASHION_FILES = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def _no_socket(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("loading must not open a socket")

    monkeypatch.setattr(socket, "socket", refuse)


def error_of(name: str, root: Path | None) -> str:
    with pytest.raises(UserError) as caught:
        load_images(name, root)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- real data ---------------------------------------------------------------------------------------------


def test_digits_are_split_by_every_fifth_of_the_classes():
    data = load_images("digits", None)
    assert data.train_images.shape == (1437, 1, 8, 8)
    assert data.test_images.shape == (360, 1, 8, 8)
    assert data.train_images.dtype == torch.uint8
    assert data.train_labels.dtype == torch.int64
    assert int(data.train_images.max()) == int(data.test_images.max()) == 240
    assert data.test_labels.bincount().tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    assert data.train_labels.bincount().tolist() == [142, 146, 141, 147, 144, 146, 145, 143, 139, 144]
    assert (int(data.train_images.sum()), int(data.test_images.sum())) == (6748710, 1677060)
    assert data.source == "scikit-learn digits"
    assert data.classes == 10


def test_mnist(real_images):
    data = real_images("mnist")
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert data.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert int(data.train_images[0].sum()) == 27525
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.source == "torchvision files"


def test_cifar10(real_images):
    data = real_images("cifar10")
    assert data.train_images.shape == (50000, 3, 32, 32)
    assert data.test_images.shape == (10000, 3, 32, 32)
    assert data.train_labels.bincount().tolist() == [5000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    assert data.source in ("parquet (JPEG images)", "parquet (PNG images)", "torchvision files")
    if data.source == "parquet (JPEG images)":
        assert int(data.train_images[0].sum()) == 398869


# --- small files -------------------------------------------------------------------------------------------


def test_fashion_mnist_from_idx(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    arrays = idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    data = load_images("fashion_mnist", tmp_path)
    assert np.array_equal(data.train_images[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
    assert data.test_labels.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert data.train_labels.dtype == torch.int64


def test_emnist_stands_upright(tmp_path, shrink, idx_files):
    shrink("emnist")
    arrays = idx_files(tmp_path / "EMNIST/raw", "emnist-balanced-train", "emnist-balanced-test", classes=47)
    data = load_images("emnist", tmp_path)
    stored = arrays["emnist-balanced-train-images-idx3-ubyte"]
    assert np.array_equal(data.train_images[:, 0].numpy(), stored.transpose(0, 2, 1))
    assert data.train_images.is_contiguous()
    assert data.classes == 47


@pytest.mark.parametrize(
    ("name", "kind", "folder", "key"),
    [
        ("cifar10", "CIFAR10", "cifar-10-batches-py", "labels"),
        ("cifar100", "CIFAR100", "cifar-100-python", "fine_labels"),
    ],
)
def test_cifar_from_pickles(tmp_path, shrink, cifar_files, name, kind, folder, key):
    spec = shrink(name)
    batches = cifar_files(tmp_path / folder, kind)
    data = load_images(name, tmp_path)
    train = [batch for file, batch in batches.items() if "test" not in file]
    expected = np.concatenate([batch["data"] for batch in train]).reshape(-1, 3, 32, 32)
    assert np.array_equal(data.train_images.numpy(), expected)
    assert data.train_labels.tolist() == [label for batch in train for label in batch[key]]
    assert len(data.test_images) == spec.test_examples
    assert data.source == "torchvision files"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("as_struct", [True, False])
def test_cifar10_from_small_parquet(tmp_path, shrink, kind, as_struct):
    shrink("cifar10")
    pixels = parquet_files(tmp_path / "cifar10", kind, as_struct)
    data = load_images("cifar10", tmp_path)
    assert data.source == f"parquet ({kind} images)"
    assert data.train_images.shape == (10, 3, 32, 32)
    assert data.test_labels.tolist() == [0, 1, 2, 3]
    if kind == "PNG":
        assert np.array_equal(data.train_images.permute(0, 2, 3, 1).numpy(), pixels["train"])


def test_pickles_are_preferred_to_parquet(tmp_path, shrink, cifar_files):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10")
    cifar_files(tmp_path / "cifar-10-batches-py", "CIFAR10")
    assert load_images("cifar10", tmp_path).source == "torchvision files"
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert load_images("cifar10", tmp_path).source == "parquet (PNG images)"


def parquet_files(folder: Path, kind: str = "PNG", as_struct: bool = True, **changes) -> dict[str, np.ndarray]:
    """Small train and test files; `changes` (`images`, `labels`) replace those of the train split."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(2)
    pixels = {}
    for split, count in (("train", 10), ("test", 4)):
        pixels[split] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        images = [encoded(image, kind) for image in pixels[split]]
        labels = list(range(count))
        if split == "train":
            images, labels = changes.get("images", images), changes.get("labels", labels)
        column = [{"bytes": image, "path": None} for image in images] if as_struct else images
        table = pa.table({"img": column, "label": labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return pixels


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


# --- missing -----------------------------------------------------------------------------------------------


def test_unknown_name_offers_the_nearest():
    assert "did you mean 'mnist'?" in error_of("mnits", None)


@pytest.mark.parametrize("name", sorted(set(IMAGE_SETS) - {"digits"}))
def test_no_root(name):
    title = IMAGE_SETS[name].title
    assert error_of(name, None) == (
        f"{title} needs a data folder: set CHTEXP_DATA or paths.data to one, then run 'chtexp prepare data={name}'"
    )


def test_missing_files(tmp_path):
    assert error_of("fashion_mnist", tmp_path) == (
        f"Fashion-MNIST not found: no {FASHION_FILES} in {tmp_path / FASHION}; "
        "run 'chtexp prepare data=fashion_mnist', "
        "or set paths.data (or CHTEXP_DATA) to the folder that holds it"
    )


def test_one_missing_file_is_named_alone(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    (tmp_path / FASHION / "t10k-labels-idx1-ubyte").unlink()
    message = error_of("fashion_mnist", tmp_path)
    assert message.startswith(f"Fashion-MNIST not found: no t10k-labels-idx1-ubyte in {tmp_path / FASHION}; ")


def test_missing_cifar10_names_both_forms(tmp_path):
    message = error_of("cifar10", tmp_path / "nowhere")
    assert f"test_batch, batches.meta in {tmp_path / 'nowhere/cifar-10-batches-py'}" in message
    assert f"nor *train*.parquet, *test*.parquet in {tmp_path / 'nowhere/cifar10'};" in message


# --- corrupt -----------------------------------------------------------------------------------------------


def test_wrong_mnist_names_both_checksums(tmp_path, idx_files):
    idx_files(tmp_path / "MNIST/raw", "train", "t10k", classes=10)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert error_of("mnist", tmp_path) == (
        f"{path} is corrupt: expected {MNIST_SHA256[path.name]}, found sha256:{found}; "
        "run 'chtexp prepare data=mnist' to mend it"
    )


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_truncated_idx_names_both_sizes(tmp_path, shrink, idx_files, content):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    path = tmp_path / FASHION / "t10k-images-idx3-ubyte"
    path.write_bytes(content)
    assert error_of("fashion_mnist", tmp_path) == (
        f"{path} is corrupt: expected {16 + 4 * 784} bytes, found {len(content)} bytes; "
        "run 'chtexp prepare data=fashion_mnist' to mend it"
    )


def test_idx_of_another_type(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    path = tmp_path / FASHION / "train-labels-idx1-ubyte"
    path.write_bytes(b"\0\0\x09" + path.read_bytes()[3:])
    assert error_of("fashion_mnist", tmp_path) == (
        f"{path} is corrupt: expected the IDX header 000008010000000a (uint8 [10]), found 000009010000000a; "
        "run 'chtexp prepare data=fashion_mnist' to mend it"
    )


def test_label_out_of_range(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    path = tmp_path / FASHION / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:8] + bytes([0] * 9 + [47]))
    assert f"{path} is corrupt: expected labels 0..9, found 0..47;" in error_of("fashion_mnist", tmp_path)


def test_manifest_sees_a_change_that_the_header_hides(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    arrays = idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    folder = tmp_path / FASHION
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in arrays}
    (folder / "chtexp-sha256.json").write_text(json.dumps(sums))
    load_images("fashion_mnist", tmp_path)

    path = folder / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    expected = f"{path} is corrupt: expected sha256:{sums[path.name]}, found sha256:{found}; "
    assert error_of("fashion_mnist", tmp_path).startswith(expected)


def test_broken_manifest(tmp_path, shrink, idx_files):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)
    path = tmp_path / FASHION / "chtexp-sha256.json"
    path.write_text("[]")
    assert f"{path} is corrupt: expected a JSON object" in error_of("fashion_mnist", tmp_path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened before its checksum was checked",))


def test_no_pickle_is_opened_before_its_checksum(tmp_path, shrink, cifar_files):
    shrink("cifar100")
    cifar_files(tmp_path / "cifar-100-python", "CIFAR100")
    path = tmp_path / "cifar-100-python" / "test"
    expected = hashlib.md5(path.read_bytes()).hexdigest()
    path.write_bytes(pickle.dumps(Bomb()))
    found = hashlib.md5(path.read_bytes()).hexdigest()
    assert error_of("cifar100", tmp_path) == (
        f"{path} is corrupt: expected md5:{expected}, found md5:{found}; run 'chtexp prepare data=cifar100' to mend it"
    )


GREY = encoded(np.zeros((32, 32), dtype=np.uint8))
LARGE = encoded(np.zeros((33, 32, 3), dtype=np.uint8))
GOOD = encoded(np.zeros((32, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": [0] * 9 + [10]}, "expected labels 0..9, found 0..10"),
        ({"labels": [-1] * 10}, "expected labels 0..9, found -1..-1"),
        ({"labels": ["cat"] * 10}, "label an integer, found binary, string"),
        ({"labels": [None] + [0] * 9}, "expected no empty rows, found 1"),
        (
            {"images": [GOOD] * 9, "labels": [0] * 9},
            "expected uint8 images [10, 3, 32, 32], found torch.uint8 [9, ",
        ),
        (
            {"images": [GOOD] * 3 + [GREY] * 7},
            "expected a 32x32 image of 3 channels in row 3, found 32x32 L;",
        ),
        ({"images": [LARGE] * 10}, "expected a 32x32 image of 3 channels in row 0, found 33x32 RGB;"),
        ({"images": [b"text"] * 10}, "in row 0, found 4 bytes beginning b'text' that do not decode"),
        ({"images": [GOOD[:-40]] * 10}, "expected a 32x32 image of 3 channels in row 0, found "),
        ({"images": [b""] * 10}, "expected a 32x32 image of 3 channels in row 0, found "),
    ],
)
def test_wrong_parquet(tmp_path, shrink, changes, expected):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10", **changes)
    message = error_of("cifar10", tmp_path)
    assert f"{tmp_path / 'cifar10'}/" in message
    assert expected in message
    assert message.endswith("run 'chtexp prepare data=cifar10' to mend it")


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_broken_parquet(tmp_path, shrink, content):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10")
    path = tmp_path / "cifar10/test-00000-of-00001.parquet"
    path.write_bytes(content)
    assert f"{path} is corrupt: expected a parquet file, found " in error_of("cifar10", tmp_path)


def test_parquet_without_rows(tmp_path, shrink):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10")
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "found torch.uint8 [0, 3, 32, 32];" in error_of("cifar10", tmp_path)


def test_parquet_of_several_files_is_one_set(tmp_path, shrink):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10")
    whole = load_images("cifar10", tmp_path)
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.slice(0, 6), path.with_name("train-00000-of-00002.parquet"))
    pq.write_table(table.slice(6), path.with_name("train-00001-of-00002.parquet"))
    assert torch.equal(load_images("cifar10", tmp_path).train_images, whole.train_images)


def test_parquet_of_other_columns(tmp_path, shrink):
    shrink("cifar10")
    parquet_files(tmp_path / "cifar10")
    path = tmp_path / "cifar10/train-00000-of-00001.parquet"
    pq.write_table(pa.table({"image": [b""], "label": [0]}), path)
    message = error_of("cifar10", tmp_path)
    assert f"{path} is corrupt: expected the columns img and label, found image, label;" in message


def test_unreadable_file(tmp_path, shrink, idx_files, monkeypatch):
    shrink("fashion_mnist")
    idx_files(tmp_path / FASHION, "train", "t10k", classes=10)

    def denied(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(np, "fromfile", denied)
    path = tmp_path / FASHION / "train-images-idx3-ubyte"
    assert error_of("fashion_mnist", tmp_path) == f"cannot read {path}: Permission denied"
