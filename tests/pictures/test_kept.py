"""What was measured is kept: read once, used from then on, and never for other files than those that were measured."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_pictures import pixels, write_image

from chtexp.config.compose import compose_run
from chtexp.config.own_images import kept_images
from chtexp.config.run import describe_run
from chtexp.data.own_images import load_own_images
from chtexp.errors import UserError
from chtexp.pictures.found import Found, Part
from chtexp.pictures.kept import FilesChanged
from chtexp.pictures.source import ImageSource
from chtexp.pictures.sources import SOURCES


def spoilt(root: Path) -> None:
    """Overwrite every image with as many bytes of something else, at the same time: whoever opens one fails."""
    for path in root.rglob("*.png"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def loaded(run) -> np.ndarray:
    return load_own_images(run.data.name, run.data.own, run.paths.prepared).train_images.numpy()


def test_the_second_start_opens_no_image(folder, typed) -> None:
    words = typed("image_folder", f"data.root={folder()}")
    first = compose_run(words)
    before = loaded(first)
    spoilt(Path(first.data.own.asked["root"]))
    second = compose_run(words)
    assert second == first
    assert np.array_equal(loaded(second), before)


def test_what_is_described(folder, typed, tmp_path: Path) -> None:
    root = folder(images=10, size=(6, 5, 3))
    run = compose_run(typed("image_folder", f"data.root={root}"))
    data = run.data
    assert (data.name, data.shape, data.classes) == ("flowers", (3, 6, 5), 3)
    assert (data.train_examples, data.test_examples) == (24, 6)
    train = load_own_images(data.name, data.own, run.paths.prepared).train_images.double() / 255
    assert data.mean == pytest.approx(train.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert data.std == pytest.approx(train.std((0, 2, 3), correction=0).tolist(), abs=1e-6)
    kept = kept_images(data.own, run.paths.prepared).folder
    assert kept.is_relative_to(tmp_path / "cache" / "images")
    split = json.loads((kept / "split.json").read_text())
    assert sorted(split["train"] + split["test"]) == sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*.png")
    )


def test_the_same_data_elsewhere_are_the_same_run(folder, typed, tmp_path: Path, monkeypatch) -> None:
    root = folder()
    run = compose_run(typed("image_folder", f"data.root={root}"))
    shutil.copytree(root, tmp_path / "home" / "other")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for elsewhere in (f"data.root={tmp_path}/home/other", "data.root=~/other", "data.root=home/other"):
        again = compose_run(typed("image_folder", elsewhere, "data.name=tulips"))
        assert again.id == run.id
        assert again.data.own.asked["root"] == str(tmp_path / "home" / "other")


def test_what_is_learned_from_makes_the_run(folder, typed) -> None:
    root = folder(size=(8, 8))
    base = typed("image_folder", f"data.root={root}")
    changes = ["data.size=4", "data.channels=3", "data.test_fraction=0.5", "data.augment=crop_flip"]
    ids = [compose_run([*base, *change]).id for change in ([], *([change] for change in changes))]
    write_image(root / "cat" / "0.png", pixels(8, 8))
    with pytest.raises(FilesChanged):
        compose_run(base)
    kept_images(compose_run([*base, "data.size=8"]).data.own, Path(os.environ["CHTEXP_CACHE"]))
    ids.append(compose_run([*base, "data.size=8"]).id)
    assert len(set(ids)) == len(ids)
    same = compose_run([*base, "data.size=8", "data.mlp_hidden=[5]", "data.name=x"])
    assert same.id == ids[-1]


def test_files_that_are_only_touched_are_the_same(folder, typed) -> None:
    root = folder()
    words = typed("image_folder", f"data.root={root}")
    before = compose_run(words)
    os.utime(root / "cat" / "0.png")
    assert compose_run(words) == before
    spoilt(root)
    assert compose_run(words) == before, "the new time is noted"


def test_a_kind_of_source_of_ones_own(typed, tmp_path: Path, monkeypatch) -> None:
    class Noise(ImageSource):
        seed: int

        @property
        def place(self) -> None:
            return None

        @property
        def title(self) -> str:
            return "noise"

        def files(self) -> list[str]:
            return []

        def read(self) -> Found:
            names = [str(number) for number in range(10)]
            return Found(Part(pixels(10, 1, 4, 4, seed=self.seed), np.arange(10) % 2, names), None, ("a", "b"))

    monkeypatch.setitem(SOURCES, "noise", Noise)
    own = tmp_path / "own"
    (own / "data").mkdir(parents=True)
    (own / "data" / "noise.yaml").write_text("family: images\nsource: noise\nseed: 3\nmlp_hidden: [5]\n")
    run = compose_run(typed("noise"), own)
    assert (run.data.name, run.data.shape, run.data.train_examples) == ("noise", (1, 4, 4), 8)
    assert compose_run(typed("noise", "data.seed=4"), own).id != run.id
    assert len(loaded(run)) == 8


def test_a_file_of_ones_own_names_a_data_set(folder, typed, tmp_path: Path) -> None:
    root, own = folder(), tmp_path / "own"
    (own / "data").mkdir(parents=True)
    (own / "data" / "tulips.yaml").write_text(f"defaults: [image_folder, _self_]\nname: tulips\nroot: {root}\n")
    run = compose_run(typed("tulips"), own)
    assert run.data.name == "tulips"
    assert run.id == compose_run(typed("image_folder", f"data.root={root}")).id


def test_a_change_is_named_and_prepare_measures_anew(folder, typed, chtexp) -> None:
    root = folder(root="my flowers (2)")
    words = typed("image_folder", f"data.root='{root}'")
    before = compose_run(words).id
    write_image(root / "cat" / "0.png", pixels(6, 5))
    write_image(root / "dog" / "new.png", pixels(6, 5))
    (root / "eel" / "3.png").unlink()
    said = chtexp("train", *words, check=2).stderr
    assert said.startswith(f"chtexp: the images in {root} are not those that were measured on 20")
    assert "1 changed (cat/0.png), 1 added (dog/new.png), 1 removed (eel/3.png); '" in said
    assert said.count("\n") == 1
    command = said.split("; '")[1].rpartition("' measures them anew")[0]
    program, *typed_anew = shlex.split(command)
    assert program == "chtexp"
    done = chtexp(*typed_anew)
    assert "24 train and 6 test images of 3 classes, 6x5, grey" in done.stdout
    assert compose_run(words).id != before


def test_prepare_sees_a_change_that_leaves_size_and_time(folder, typed, chtexp) -> None:
    root = folder()
    words = typed("image_folder", f"data.root={root}")
    before = compose_run(words)
    one, other = (root / "cat" / f"{number}.png" for number in (0, 1))
    status, content = one.stat(), other.read_bytes()
    one.write_bytes(content[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert compose_run(words) == before
    assert "1 changed (cat/0.png)" in chtexp("prepare", "data=image_folder", f"data.root={root}").stdout
    assert compose_run(words).id != before.id


def test_damage_in_the_cache_costs_a_second_reading(folder, typed) -> None:
    words = typed("image_folder", f"data.root={folder()}")
    run = compose_run(words)
    before = loaded(run)
    kept = kept_images(run.data.own, run.paths.prepared).folder
    for damage in (b"", b"PK", (kept / "images.npz").read_bytes()[:-200]):
        (kept / "images.npz").write_bytes(damage)
        assert np.array_equal(loaded(run), before)
    with np.load(kept / "images.npz") as file:
        other = dict(file)
    np.savez(kept / "images.npz", **{**other, "train_images": 255 - other["train_images"]})
    assert np.array_equal(loaded(run), before), "never other images than those of the run"
    (kept / "record.json").write_text("{")
    assert compose_run(words) == run
    (kept / "files.json").unlink()
    os.utime(Path(run.data.own.asked["root"]) / "cat" / "0.png")
    with pytest.raises(FilesChanged, match="are lost"):
        compose_run(words)


def test_images_that_changed_under_a_run_are_refused(folder, typed) -> None:
    root = folder()
    run = compose_run(typed("image_folder", f"data.root={root}"))
    write_image(root / "cat" / "0.png", pixels(6, 5))
    kept_images(run.data.own, run.paths.prepared).measure_anew()
    with pytest.raises(UserError, match="are not those of this run"):
        loaded(run)


def test_a_run_is_described_without_its_files(folder, typed) -> None:
    root = folder()
    words = typed("image_folder", f"data.root={root}")
    run = compose_run(words)
    config = json.loads(json.dumps(run.config()))
    shutil.move(root, root.with_name("away"))
    assert compose_run(words) == run, "the record stands for them"
    shutil.rmtree(run.paths.prepared)
    assert describe_run(config) == run
    assert describe_run(config).id == run.id
    with pytest.raises(UserError, match="is not there"):
        compose_run(words)


def test_other_data_have_the_identity_they_had() -> None:
    run = compose_run(["data=mnist"])
    assert set(run.science["data"]) == {
        "name", "shape", "classes", "train_examples", "test_examples", "mean", "std", "augment",
    }  # fmt: skip


def test_a_cache_that_may_only_be_read_is_enough(folder, typed, monkeypatch) -> None:
    words = typed("image_folder", f"data.root={folder()}")
    run = compose_run(words)
    monkeypatch.setattr("chtexp.pictures.kept.write_json", refuse)
    monkeypatch.setattr("chtexp.pictures.kept.write_atomically", refuse)
    os.utime(Path(run.data.own.asked["root"]) / "cat" / "0.png")
    assert compose_run(words) == run
    assert len(loaded(run)) == run.data.train_examples


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_cache_that_cannot_be_written_is_said(folder, typed, chtexp, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    said = chtexp("train", *typed("image_folder", f"data.root={folder()}"), check=1).stderr
    assert "set CHTEXP_CACHE or paths.cache" in said
    assert said.count("\n") == 1


def test_without_a_cache_the_persons_own_is_used(folder, typed, monkeypatch, tmp_path: Path) -> None:
    words = typed("image_folder", f"data.root={folder()}")
    for name in ("CHTEXP_CACHE", "CHTEXP_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    compose_run(words)
    assert [path.name[:8] for path in (tmp_path / "home" / "chtexp" / "images").glob("[!.]*")] == ["flowers-"]


def test_a_home_folder_may_be_typed_anywhere(folder, typed, chtexp, tmp_path: Path) -> None:
    folder("a", images=4), folder("b", images=5)
    base = [word for word in typed("image_folder") if not word.startswith("budget")]
    done = chtexp("train", "-m", *base, "budget=smoke", "data.root=~/a,~/b", "--quiet", HOME=str(tmp_path))
    assert "2 of 2 runs done" in done.stdout
