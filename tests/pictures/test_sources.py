"""What each kind of source reads: pixels, labels, classes and splits, against what was written and what others read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import CLASSES, pixels, write_image
from torchvision import datasets as torchvision_datasets

from chtexp.errors import UserError
from chtexp.pictures.decode import Encoded, decoded
from chtexp.pictures.folder import ImageFolder, layout_of
from chtexp.pictures.found import Pictures
from chtexp.pictures.hub import HubImages
from chtexp.pictures.npz import NpzFile


def test_a_folder_with_splits_is_what_torchvision_reads(folder) -> None:
    root = folder(splits=("train", "test"), size=(6, 5, 3))
    found = ImageFolder(root=root).read()
    for split, part in (("train", found.train), ("test", found.test)):
        other = torchvision_datasets.ImageFolder(str(root / split))
        assert found.classes == tuple(other.classes) == CLASSES
        assert [str(root / split / name) for name in part.names] == [path for path, _ in other.samples]
        assert part.labels.tolist() == other.targets
        theirs = np.stack([np.asarray(image) for image, _ in other]).transpose(0, 3, 1, 2)
        assert part.images.dtype == np.uint8
        assert np.array_equal(part.images, theirs)


@pytest.mark.parametrize("test", ["test", "val", "validation", "valid", "Test"])
def test_names_of_splits(folder, test: str) -> None:
    root = folder(splits=("train", test), images=2)
    found = ImageFolder(root=root).read()
    assert (len(found.train.labels), len(found.test.labels)) == (6, 6)


def test_val_beside_test_is_not_used_and_said_so(folder) -> None:
    root = folder(splits=("train", "test", "val"), images=2)
    found = ImageFolder(root=root).read()
    assert np.array_equal(found.test.images[0, 0], np.asarray(Image.open(root / "test" / "cat" / "0.png")))
    assert found.notes == (f"val/ in {root} is not used",)
    assert not any("/val/" in path for path in ImageFolder(root=root).files())


def test_train_alone_and_classes_alone_are_the_same(folder) -> None:
    alone, inside = ImageFolder(root=folder("a")).read(), ImageFolder(root=folder("b", splits=("train",))).read()
    assert alone.test is inside.test is None
    assert alone.train.names == inside.train.names
    assert np.array_equal(alone.train.images, inside.train.images)


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "webp", "tiff", "gif", "PNG"])
def test_formats(folder, suffix: str) -> None:
    found = ImageFolder(root=folder(suffix=suffix, images=2)).read()
    assert found.train.images.shape[2:] == (6, 5)


def test_images_in_folders_of_a_class_count_and_hidden_ones_do_not(folder) -> None:
    root = folder(images=2)
    write_image(root / "cat" / "more" / "9.png", pixels(6, 5))
    write_image(root / "cat" / ".thumbs" / "9.png", pixels(6, 5))
    write_image(root / "__MACOSX" / "9.png", pixels(6, 5))
    (root / "cat" / "notes.txt").write_text("hello")
    assert [name for name in ImageFolder(root=root).read().train.names if "9" in name] == ["cat/more/9.png"]


def test_grey_and_colour(folder, tmp_path: Path) -> None:
    root = folder(images=2)
    assert ImageFolder(root=root).read().train.images.shape == (6, 1, 6, 5)
    colour = ImageFolder(root=root, channels=3).read().train.images
    assert colour.shape == (6, 3, 6, 5)
    assert np.array_equal(colour[:, 0], colour[:, 2])
    write_image(root / "cat" / "z.png", pixels(6, 5, 3))
    mixed = ImageFolder(root=root).read()
    assert mixed.train.images.shape == (7, 3, 6, 5)
    assert mixed.notes == ("6 of 7 images are grey, and taken as colour",)
    assert ImageFolder(root=root, channels=1).read().train.images.shape == (7, 1, 6, 5)


def test_a_size_brings_all_images_to_it(folder) -> None:
    root = folder(images=2)
    flat = np.full((40, 20), 77, dtype=np.uint8)
    write_image(root / "cat" / "big.png", flat)
    found = ImageFolder(root=root, size=[4, 8]).read()
    assert found.train.images.shape == (7, 1, 4, 8)
    assert (found.train.images[found.train.names.index("cat/big.png")] == 77).all()
    assert "images of 2 sizes are resized to 4x8" in found.notes
    assert ImageFolder(root=root, size=3).read().train.images.shape == (7, 1, 3, 3)


def test_a_photograph_stands_upright(folder) -> None:
    root = folder(images=1, size=(2, 3, 3), suffix="png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    held = np.zeros((3, 2, 3), dtype=np.uint8)
    held[:, 0] = 250  # the left column of what the camera wrote is the top row of what is shown
    Image.fromarray(held.repeat(16, 0).repeat(16, 1)).save(root / "cat" / "turned.jpg", exif=exif)
    found = ImageFolder(root=root, size=[2, 3]).read()
    shown = found.train.images[found.train.names.index("cat/turned.jpg")].mean(0)
    assert shown[0].min() > 200
    assert shown[1].max() < 50


# ---------------------------------------------------------------- .npz files

KERAS = ("x_train", "y_train", "x_test", "y_test")
MEDMNIST = ("train_images", "train_labels", "test_images", "test_labels")


@pytest.mark.parametrize("names", [KERAS, MEDMNIST, ("x_train", "y_train", "x_val", "y_val")])
@pytest.mark.parametrize("axes", ["NHW", "NHWC", "NCHW", "NHW1"])
def test_npz_files(tmp_path: Path, names: tuple[str, ...], axes: str) -> None:
    shape = {"NHW": (12, 7, 6), "NHWC": (12, 7, 6, 3), "NCHW": (12, 3, 7, 6), "NHW1": (12, 7, 6, 1)}[axes]
    images, labels = pixels(*shape), np.arange(12) % 3
    if names is MEDMNIST:
        labels = labels[:, None]
    np.savez(tmp_path / "a.npz", **dict(zip(names, (images, labels, images[:6], labels[:6]), strict=True)))
    found = NpzFile(root=tmp_path / "a.npz").read()
    if axes in ("NHW", "NHW1"):
        images = images.reshape(12, 1, 7, 6)
    elif axes == "NHWC":
        images = images.transpose(0, 3, 1, 2)
    assert np.array_equal(found.train.images, images)
    assert np.array_equal(found.test.images, images[:6])
    assert found.train.labels.tolist() == [0, 1, 2] * 4
    assert found.classes == ("0", "1", "2")


def test_labels_are_any_numbers_or_words(tmp_path: Path) -> None:
    for labels, classes in (([7, -3, 7, 10], ("-3", "7", "10")), (["b", "a", "b", "c"], ("a", "b", "c"))):
        np.savez(tmp_path / "a.npz", images=pixels(4, 5, 5), labels=np.array(labels))
        found = NpzFile(root=tmp_path / "a.npz").read()
        assert (found.classes, found.train.labels.tolist(), found.test) == (classes, [1, 0, 1, 2], None)


def test_the_layout_is_said_where_sizes_do_not_tell(tmp_path: Path) -> None:
    images = pixels(4, 3, 8, 3)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(4) % 2)
    with pytest.raises(UserError, match=r"add data\.layout=NHWC or data\.layout=NCHW"):
        NpzFile(root=tmp_path / "a.npz").read()
    assert np.array_equal(NpzFile(root=tmp_path / "a.npz", layout="NCHW").read().train.images, images)
    assert np.array_equal(
        NpzFile(root=tmp_path / "a.npz", layout="NHWC").read().train.images, images.transpose(0, 3, 1, 2)
    )


def test_sizes_and_channels_of_arrays_are_those_of_files(folder, tmp_path: Path) -> None:
    root = folder(images=2, size=(6, 5, 3))
    found = ImageFolder(root=root).read()
    np.savez(tmp_path / "a.npz", images=found.train.images, labels=found.train.labels)
    for asked in ({"size": 3}, {"channels": 1}, {"size": [9, 4]}):
        of_files = ImageFolder(root=root, **asked).read().train.images
        assert np.array_equal(NpzFile(root=tmp_path / "a.npz", **asked).read().train.images, of_files)


# ---------------------------------------------------------------- the datasets library


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch, folder):
    """Save the images of a folder as the `datasets` library does, as Parquet or as Arrow files; return that folder."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    datasets.disable_progress_bars()

    def make(form: str, splits=("train", "test"), label=None, column: str = "label") -> Path:
        root = folder("plain", splits=splits, images=3, size=(6, 5, 3))
        label = label or datasets.ClassLabel(names=list(CLASSES))
        features = datasets.Features({"image": datasets.Image(), column: label})
        parts = datasets.DatasetDict()
        for split in splits:
            paths = sorted((root / split).rglob("*.png"))
            words = [path.parent.name for path in paths]
            values = words if label.dtype == "string" else [CLASSES.index(word) for word in words]
            parts[split] = datasets.Dataset.from_dict(
                {"image": list(map(str, paths)), column: values}, features=features
            )
        out = tmp_path / "saved"
        if form == "arrow":
            parts.save_to_disk(out)
        else:
            out.mkdir()
            for split in splits:
                parts[split].to_parquet(out / f"{split}-00000-of-00001.parquet")
        return out

    return make


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation"), ("train",)])
def test_a_local_folder_of_a_data_set(hub_folder, folder, form: str, splits: tuple[str, ...]) -> None:
    out = hub_folder(form, splits)
    found = HubImages(repository=str(out)).read()
    plain = ImageFolder(root=out.parent / "plain").read()
    assert found.classes == CLASSES
    assert np.array_equal(found.train.images, plain.train.images)
    assert np.array_equal(found.train.labels, plain.train.labels)
    assert (found.test is None) == (len(splits) == 1)
    if found.test:
        assert np.array_equal(found.test.images, plain.test.images)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_labels_that_are_words_and_columns_of_other_names(hub_folder) -> None:
    from datasets import Value

    out = hub_folder("parquet", label=Value("string"), column="kind")
    with pytest.raises(
        UserError, match=r"no column is known to hold the label; add data\.label_column=, one of: image, kind"
    ):
        HubImages(repository=str(out)).read()
    found = HubImages(repository=str(out), label_column="kind").read()
    assert (found.classes, found.train.labels.tolist()) == (CLASSES, [0, 0, 0, 1, 1, 1, 2, 2, 2])


# ---------------------------------------------------------------- measures


def test_measures_are_those_of_the_pixels() -> None:
    images = pixels(50, 3, 4, 5)
    whole = Pictures(images, np.zeros(50, dtype=np.int64), images[:2], np.zeros(2, dtype=np.int64))
    scaled = images.astype(np.float64) / 255
    assert whole.measures().mean == pytest.approx(scaled.mean((0, 2, 3)), abs=1e-6)
    assert whole.measures().std == pytest.approx(scaled.std((0, 2, 3)), abs=1e-6)


def test_the_fingerprint_knows_pixels_labels_split_and_order() -> None:
    images, labels = pixels(6, 1, 4, 5), np.arange(6, dtype=np.int64) % 2
    base = Pictures(images, labels, images[:2], labels[:2])
    brighter = images.copy()
    brighter[0, 0, 0, 0] ^= 1
    others = [
        Pictures(brighter, labels, images[:2], labels[:2]),
        Pictures(images, 1 - labels, images[:2], labels[:2]),
        Pictures(images, labels, images[:3], labels[:3]),
        Pictures(images[::-1], labels[::-1], images[:2], labels[:2]),
        Pictures(images.reshape(6, 1, 5, 4), labels, images[:2].reshape(2, 1, 5, 4), labels[:2]),
    ]
    assert len({base.fingerprint(), *(other.fingerprint() for other in others)}) == 6
    assert Pictures(images.copy(order="F"), labels, images[:2], labels[:2]).fingerprint() == base.fingerprint()


def test_a_link_to_a_folder_that_is_read_already_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    (root / "cat" / "self").symlink_to(".", target_is_directory=True)
    with pytest.raises(UserError, match=r"cat/self.* is a link to a folder that is read already: remove it"):
        layout_of(root)


def test_folders_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "a", split="train")
    pictures(tmp_path / "a", split="Train")
    with pytest.raises(UserError, match=r"holds .*rain/ and .*rain/: put their images into one of them"):
        layout_of(root)


@pytest.mark.parametrize("suffix", ["png", "ppm"])
def test_colours_of_sixteen_bits_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep.{suffix}"
    values = np.full((4, 3, 3), 0x0102, dtype=">u2").tobytes()
    if suffix == "ppm":
        path.write_bytes(b"P6 3 4 65535\n" + values)
    else:
        rows = b"".join(b"\0" + values[row * 18 : (row + 1) * 18] for row in range(4))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 4, 16, 2, 0, 0, 0))
            + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
        )  # fmt: skip
    with pytest.raises(UserError, match="more than 8 bits a channel"):
        decoded([Encoded(str(path), path)], None, None)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pictures(folder: Path, split: str = "") -> Path:
    """Two classes of three images each."""
    for name in ("cat", "dog"):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.full((4, 4), 40 * number, dtype=np.uint8)).save(place / f"{number}.png")
    return folder
