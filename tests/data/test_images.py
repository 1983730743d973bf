"""Loading: real files where they are at hand, small files in the same formats, and every way to be wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import socket
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from chtexp.data import IMAGE_SETS, load_images
from chtexp.data.published import MNIST_SHA256
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


def test_fashion_mnist_is_the_published_one(real_images):
    data = real_images("fashion_mnist")
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [6000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    assert data.train_labels[:5].tolist() == [9, 0, 0, 3, 0]  # an ankle boot, two T-shirts, a dress, a T-shirt
    assert data.source == "torchvision files"


def test_emnist47_stands_in_for_emnist(real_images):
    data = real_images("emnist47")
    assert (data.train_images.shape, data.test_images.shape) == ((90605, 1, 28, 28), (18800, 1, 28, 28))
    assert data.test_labels.bincount().tolist() == [400] * 47
    counts = data.train_labels.bincount()
    assert (len(counts), int(counts.min()), int(counts.max()), int((counts == 2400).sum())) == (47, 517, 2400, 27)
    assert data.source == "EMNIST47, a stand-in for EMNIST balanced"


def test_emnist47_stands_upright(real_images):
    """A one is higher than wide, and a T has its bar at the top."""
    data = real_images("emnist47")
    ones, ts = (data.train_images[data.train_labels == label, 0].float() for label in (1, 29))
    inked = ones.amax(2).gt(128).sum(1).float().mean(), ones.amax(1).gt(128).sum(1).float().mean()
    assert inked[0] > 2 * inked[1]  # rows with ink, columns with ink
    assert widths(ts[:, 4:10]) > 1.5 * widths(ts[:, 18:24])


def widths(images: torch.Tensor) -> float:
    """Inked pixels of a row, on average."""
    return float(images.gt(128).sum(2).float().mean())


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
    """Small train and test files; `changes` (`images`, `labels`) replace those of the train split.

    columns: other names of theirs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(2)
    pixels, columns = {}, changes.get("columns", {})
    for split, count in (("train", 10), ("test", 4)):
        pixels[split] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        images = [encoded(image, kind) for image in pixels[split]]
        labels = list(range(count))
        if split == "train":
            images, labels = changes.get("images", images), changes.get("labels", labels)
        column = [{"bytes": image, "path": None} for image in images] if as_struct else images
        table = pa.table({"img": column, columns.get("label", "label"): labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return pixels


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cifar100_from_small_parquet(tmp_path, shrink, kind):
    shrink("cifar100")
    parquet_files(tmp_path / "cifar100", kind, labels=[*range(9), 99], columns={"label": "fine_label"})
    data = load_images("cifar100", tmp_path)
    assert data.source == f"parquet ({kind} images)"
    assert data.train_labels.tolist() == [*range(9), 99]


# --- files of another data set -----------------------------------------------------------------------------


def test_mnist_in_the_place_of_fashion_mnist_is_refused_by_name(tmp_path, real_images):
    real_images("mnist")
    link(real_root() / "MNIST/raw", tmp_path / FASHION)
    assert error_of("fashion_mnist", tmp_path).startswith(
        f"{tmp_path / FASHION} holds files of MNIST, not of Fashion-MNIST: expected sha256:c59f468a"
    )
    link(real_root() / FASHION, tmp_path / "MNIST/raw")
    assert f"{tmp_path / 'MNIST/raw'} holds files of Fashion-MNIST, not of MNIST: " in error_of("mnist", tmp_path)


@pytest.mark.parametrize(("folder", "prefixes", "title"), [
    ("MNIST/raw", ("train", "t10k"), "MNIST"),
    (FASHION, ("train", "t10k"), "Fashion-MNIST"),
    ("EMNIST47/raw", ("emnist47-train", "emnist47-test"), "EMNIST47"),
])  # fmt: skip
def test_others_under_the_names_of_emnist_are_refused_by_name(tmp_path, real_images, folder, prefixes, title):
    real_images("emnist47")
    place = tmp_path / "EMNIST/raw"
    renamed = dict(zip(prefixes, ("emnist-balanced-train", "emnist-balanced-test"), strict=True))
    link(real_root() / folder, place, renamed)
    message = error_of("emnist", tmp_path)
    assert message.startswith(f"{place} holds files of {title}, not of EMNIST balanced: expected a file of ")


def test_one_foreign_file_among_those_of_emnist_is_refused(tmp_path, shrink, idx_files, real_images):
    real_images("emnist47")
    shrink("emnist")
    place = tmp_path / "EMNIST/raw"
    idx_files(place, "emnist-balanced-train", "emnist-balanced-test", classes=47)
    name = "emnist-balanced-test-labels-idx1-ubyte"
    (place / name).unlink()
    (place / name).symlink_to(real_root() / "EMNIST47/raw/emnist47-test-labels-idx1-ubyte")
    message = error_of("emnist", tmp_path)
    assert message.startswith(f"{place} holds files of EMNIST47, not of EMNIST balanced: expected a file of ")


def test_others_beside_where_emnist_should_be_are_named(tmp_path, real_images):
    real_images("emnist47")
    place = tmp_path / "EMNIST/raw"
    for folder, title in (("MNIST/raw", "MNIST"), (FASHION, "Fashion-MNIST"), ("EMNIST47/raw", "EMNIST47")):
        link(real_root() / folder, place)
        message = error_of("emnist", tmp_path)
        assert message.startswith("EMNIST balanced not found: no emnist-balanced-train-images-idx3-ubyte, ")
        assert f" in {place} (which holds files of {title}); run 'chtexp prepare data=emnist'" in message
        for path in place.iterdir():
            path.unlink()


@pytest.mark.parametrize("variant", ["byclass", "bymerge", "letters", "digits", "mnist"])
def test_another_split_of_emnist_is_named(tmp_path, shrink, idx_files, variant):
    shrink("emnist")
    idx_files(tmp_path / "EMNIST/raw", f"emnist-{variant}-train", f"emnist-{variant}-test", classes=10)
    assert f" (which holds files of EMNIST {variant}); run " in error_of("emnist", tmp_path)
    idx_files(tmp_path / "EMNIST/raw", "emnist-balanced-train", "emnist-balanced-test", classes=47)
    assert load_images("emnist", tmp_path).classes == 47  # a download leaves all splits there


@pytest.mark.parametrize(("count", "title"), [(124_800, "EMNIST letters"), (240_000, "EMNIST digits"),
                                              (697_932, "EMNIST byclass or bymerge"), (90_605, "EMNIST47")])  # fmt: skip
def test_another_split_of_emnist_is_known_by_its_count(tmp_path, shrink, idx_files, count, title):
    shrink("emnist")
    place = tmp_path / "EMNIST/raw"
    idx_files(place, "emnist-balanced-train", "emnist-balanced-test", classes=47)
    header = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
    (place / "emnist-balanced-train-images-idx3-ubyte").write_bytes(header + b"\0" * 784)
    assert error_of("emnist", tmp_path).startswith(f"{place} holds files of {title}, not of EMNIST balanced: ")


@pytest.mark.parametrize(("wanted", "place", "kind", "title"), [
    ("cifar10", "cifar-10-batches-py", "CIFAR100", "CIFAR-100"),
    ("cifar100", "cifar-100-python", "CIFAR10", "CIFAR-10"),
])  # fmt: skip
def test_the_other_cifars_pickles_are_named(tmp_path, shrink, cifar_files, wanted, place, kind, title):
    spec = shrink(wanted)
    cifar_files(tmp_path / "own", {"CIFAR10": "CIFAR100", "CIFAR100": "CIFAR10"}[kind])
    others = list(cifar_files(tmp_path / place, kind))
    assert f" in {tmp_path / place} (which holds files of {title}), nor " in error_of(wanted, tmp_path)
    for name in spec.sources[0].files():  # under the names that are wanted
        (tmp_path / place / name).write_bytes((tmp_path / place / others[0]).read_bytes())
    assert error_of(wanted, tmp_path).startswith(f"{tmp_path / place} holds files of {title}, not of {spec.title}: ")


HUNDRED = {"label": "fine_label"}


@pytest.mark.parametrize(("wanted", "labels", "columns", "title", "expected"), [
    ("cifar10", [99] * 10, HUNDRED, "CIFAR-100", "expected the columns img and label in train-"),
    ("cifar10", [99] * 10, {}, "CIFAR-100", "expected labels 0..9 in *train*.parquet, found 0..99;"),
    ("cifar10", [19] * 10, {}, "CIFAR-100 with its 20 coarse classes", "expected labels 0..9 in *train*"),
    ("cifar100", [9] * 10, {}, "CIFAR-10", "expected the columns img and fine_label in train-"),
    ("cifar100", [9] * 10, HUNDRED, "CIFAR-10", "expected labels 0..99 in *train*.parquet, found 0..9;"),
    ("cifar100", [19] * 10, HUNDRED, "CIFAR-100 with its 20 coarse classes", "found 0..19;"),
])  # fmt: skip
def test_the_other_cifars_parquet_is_named(tmp_path, shrink, wanted, labels, columns, title, expected):
    spec = shrink(wanted)
    parquet_files(tmp_path / wanted, labels=labels, columns=columns)
    message = error_of(wanted, tmp_path)
    assert message.startswith(f"{tmp_path / wanted} holds files of {title}, not of {spec.title}: ")
    assert expected in message


def real_root() -> Path:
    return Path(os.environ["CHTEXP_DATA"])


def link(folder: Path, place: Path, renamed: dict[str, str] | None = None) -> None:
    """The files of `folder` in `place`, those of a prefix under another."""
    place.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*ubyte"):
        prefix = path.name.rpartition("-images")[0] or path.name.rpartition("-labels")[0]
        (place / path.name.replace(prefix, (renamed or {}).get(prefix, prefix))).symlink_to(path)


# --- missing -----------------------------------------------------------------------------------------------


def test_unknown_name_offers_the_nearest():
    assert "did you mean 'mnist'?" in error_of("mnits", None)


@pytest.mark.parametrize("name", sorted(set(IMAGE_SETS) - {"digits"}))
def test_no_root(name):
    needs = f"{IMAGE_SETS[name].title} needs a data folder: set CHTEXP_DATA or paths.data to one"
    fetched = f", then run 'chtexp prepare data={name}'" if name != "emnist47" else " that holds it"
    assert error_of(name, None) == f"{needs}{fetched}"


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
