"""Whole trainings of images of one's own, and everything that may be wrong with them: before there is a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import CLASSES, pixels, write_image

from chtexp.config.compose import compose_run
from chtexp.config.run import describe_run
from chtexp.store import RunFolder


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Write arrays into an .npz file: good ones, in which some are changed or left out (None)."""

    def make(**changes: object) -> Path:
        good = {
            "x_train": pixels(12, 6, 5),
            "y_train": np.arange(12) % 3,
            "x_test": pixels(6, 6, 5),
            "y_test": np.arange(6) % 3,
        }
        path = tmp_path / "flowers.npz"
        np.savez(path, **{name: array for name, array in {**good, **changes}.items() if array is not None})
        return path

    return make


def sources(folder, npz) -> dict[str, list[str]]:
    return {
        "image_folder": [f"data.root={folder('folder', images=6)}"],
        "npz": [f"data.root={npz()}"],
    }


@pytest.mark.parametrize("kind", ["image_folder", "npz"])
def test_a_training_and_its_results(kind: str, folder, npz, typed, chtexp, tmp_path: Path) -> None:
    words = typed(kind, *sources(folder, npz)[kind], "data.name=tulips", "data.augment=crop_flip")
    assert "done: accuracy" in chtexp("train", *words).stdout
    (run,) = RunFolder.every(tmp_path / "runs")
    assert run.path.parent.name.startswith("tulips-set-smoke-")
    result = json.loads(run.result.read_text())
    assert result["data"] == "tulips"
    assert result["data_source"] == f"own images ({kind})"
    assert result["science"]["data"]["own"]["fingerprint"].startswith("sha256:")
    assert describe_run(json.loads(json.dumps(compose_run(words).config()))).id == result["id"]
    assert "done already" in chtexp("train", *words).stdout


def test_another_name_and_another_path_train_the_same(folder, typed, chtexp, tmp_path: Path) -> None:
    for root, name in (("a", "tulips"), ("b", "roses")):
        chtexp(
            "train",
            *typed("image_folder", f"data.root={folder(root)}", f"data.name={name}", "task.selection=validation"),
        )
    first, second = (json.loads(run.result.read_text()) for run in RunFolder.every(tmp_path / "runs"))
    assert first["id"] == second["id"]
    assert first["data"] != second["data"]
    assert first["state_sha256"] == second["state_sha256"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_training_on_a_local_data_set(typed, chtexp, tmp_path: Path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    paths = [write_image(tmp_path / "plain" / f"{number}.png", pixels(6, 5, 3, seed=number)) for number in range(12)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    rows = {"image": list(map(str, paths)), "label": [number % 3 for number in range(12)]}
    (tmp_path / "tulips").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "tulips" / "train.parquet")
    done = chtexp("train", *typed("hub", f"data.repository={tmp_path}/tulips"))
    assert "done: accuracy" in done.stdout
    (run,) = RunFolder.every(tmp_path / "runs")
    assert run.path.parent.name.startswith("tulips-")


def test_a_table_of_ones_own(folder, npz, typed, chtexp, tmp_path: Path) -> None:
    of_folder, of_file = sources(folder, npz)["image_folder"], sources(folder, npz)["npz"]
    words = typed("image_folder")[2:]
    own = tmp_path / "own" / "paper"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        json.dumps(
            {
                "title": "Mine",
                "seeds": [0],
                "columns": {"tulips": ["data=image_folder", *of_folder], "roses": ["data=npz", *of_file]},
                "groups": {"all": {"SET": words}},
            }
        )
    )
    here = ["mine", "budget=smoke", "--config-dir", str(tmp_path / "own")]
    assert "2 of 2 runs done" in chtexp("sweep", *here, "launcher=serial").stdout
    (tmp_path / "folder").rename(tmp_path / "gone")
    table = chtexp("table", *here).stdout
    assert table.count("| SET ") == 2
    assert table.count("±") + table.count("†") >= 2


Make = Callable[..., object]


def broken_folder(change: Callable[[Path], object]) -> Make:
    def make(folder, npz) -> list[str]:
        root = folder(splits=("train", "test"), images=3)
        change(root)
        return ["data=image_folder", f"data.root={root}"]

    return make


def truncated(root: Path) -> None:
    path = root / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])


def emptied(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.unlink()


def file(**changes: object) -> Make:
    return lambda folder, npz: ["data=npz", f"data.root={npz(**changes)}"]


SIXTEEN = Image.fromarray(np.full((6, 5), 4000, dtype=np.uint16))
MISTAKES: dict[str, tuple[Make, str]] = {
    "no root": (lambda folder, npz: ["data=image_folder"], "data.root: must say where the images lie"),
    "missing root": (
        lambda folder, npz: ["data=image_folder", "data.root=/nowhere"],
        "data.root /nowhere is not there",
    ),
    "a file as root": (lambda folder, npz: ["data=image_folder", f"data.root={npz()}"], "flowers.npz is no folder"),
    "no images": (broken_folder(emptied), "holds no images (.png, "),
    "one class": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder(classes=['cat'])}"],
        "one class ('cat')",
    ),
    "one image": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder(images=1)}"],
        "class 'cat' has one image",
    ),
    "a new class in test": (
        broken_folder(lambda root: write_image(root / "test" / "fox" / "1.png", pixels(6, 5))),
        "class 'fox' is in ",
    ),
    "an empty class": (broken_folder(lambda root: (root / "train" / "fox").mkdir()), "train/fox holds no images"),
    "a loose image": (
        broken_folder(lambda root: write_image(root / "train" / "1.png", pixels(6, 5))),
        "train/1.png is in no class's folder",
    ),
    "images beside train": (
        broken_folder(lambda root: write_image(root / "extra" / "1.png", pixels(6, 5))),
        "images in extra/, which is no split",
    ),
    "test alone": (broken_folder(lambda root: (root / "train").rename(root / "cats")), "holds test/ and no train/"),
    "truncated": (broken_folder(truncated), "train/dog/1.png cannot be decoded ("),
    "no image": (
        broken_folder(lambda root: (root / "train" / "dog" / "1.png").write_text("hello")),
        "train/dog/1.png cannot be decoded (it is no image that Pillow knows)",
    ),
    "16 bits": (
        broken_folder(lambda root: SIXTEEN.save(root / "train" / "dog" / "1.png")),
        "train/dog/1.png has more than 8 bits a channel",
    ),
    "sizes": (
        broken_folder(lambda root: write_image(root / "train" / "dog" / "1.png", pixels(9, 9))),
        "the images differ in size: 6x5 (17), 9x9 (1); add data.size=[6,5]",
    ),
    "a fraction of a given split": (
        lambda folder, npz: [*broken_folder(lambda root: None)(folder, npz), "data.test_fraction=0.3"],
        "data.test_fraction is for images without a test split",
    ),
    "a fraction": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder()}", "data.test_fraction=1.5"],
        "data.test_fraction should be less than 1, not 1.5",
    ),
    "a size": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder()}", "data.size=big"],
        "data.size: must be a number of pixels, e.g. 32, or [rows,columns], not 'big'",
    ),
    "channels": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder()}", "data.channels=2"],
        "data.channels should be 1 or 3, not 2",
    ),
    "a key": (lambda folder, npz: ["data=image_folder", "data.rot=x"], "(did you mean 'data.root'?)"),
    "a source": (
        lambda folder, npz: ["data=image_folder", "data.source=npy"],
        "unknown data.source 'npy' (did you mean 'npz'?)",
    ),
    "constant": (file(x_train=np.zeros((12, 6, 5), dtype=np.uint8)), "all training pixels of channel 0 are equal"),
    "floats": (file(x_train=pixels(12, 6, 5) / 255), "is of float64: images must be of uint8"),
    "lengths": (file(y_train=np.arange(11) % 3), "has 11 labels for 12 images"),
    "objects": (file(y_train=np.array([None] * 12)), "flowers.npz cannot be read (it holds pickled objects"),
    "one-hot": (file(y_train=np.eye(3)[np.arange(12) % 3]), "is 12x3: labels must be [N] or [N, 1]"),
    "float labels": (file(y_train=np.arange(12.0)), "is of float64: labels must be whole numbers, or strings"),
    "class of the test": (file(y_test=np.arange(6)), "class 3 is in y_test of"),
    "shapes": (file(x_test=pixels(6, 8, 8)), "they must be alike, or be brought to one data.size"),
    "names": (file(x_train=None), "holds y_train, x_test, y_test: it must hold x_train and y_train"),
    "axes": (file(x_train=pixels(12, 30)), "is 12x30: images must be [N, H, W]"),
    "no file": (lambda folder, npz: ["data=npz", "data.root=/nowhere.npz"], "data.root /nowhere.npz is not there"),
    "no repository": (lambda folder, npz: ["data=hub"], "data.repository: must name a data set"),
    "no such folder": (
        lambda folder, npz: ["data=hub", "data.repository=/nowhere"],
        "data.repository /nowhere is no folder",
    ),
    "a model of text": (
        lambda folder, npz: ["data=image_folder", f"data.root={folder()}", "model=llama_nano"],
        "model llama does not fit data image_folder",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake: str, folder, npz, typed, chtexp, tmp_path: Path) -> None:
    make, said = MISTAKES[mistake]
    data, *rest = make(folder, npz)
    words = [
        word for word in typed("x", *rest)[1:] if not (word.startswith("model.hidden") and "model=llama_nano" in rest)
    ]
    error = chtexp("train", data, *words, check=2).stderr
    assert error.startswith("chtexp: ")
    assert error.count("\n") == 1
    assert said in error
    assert not (tmp_path / "runs").exists()
    assert list((tmp_path / "cache").glob("images/[!.]*")) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_hub_that_does_not_answer_is_nobodys_mistake(typed, chtexp, monkeypatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'a/flowers' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    error = chtexp("train", *typed("hub", "data.repository=a/flowers"), check=1).stderr
    assert error.startswith("chtexp: cannot load the data set a/flowers: Couldn't reach")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
