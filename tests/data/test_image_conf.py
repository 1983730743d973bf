"""The YAML of every image data set says what the data set is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chtexp.data import IMAGE_SETS, PixelScale, load_images

CONF = Path(__file__).parents[2] / "conf" / "data"
KEYS = [
    "family",
    "name",
    "shape",
    "classes",
    "train_examples",
    "test_examples",
    "mean",
    "std",
    "augment",
    "mlp_hidden",
]


def conf(name: str) -> dict:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_yaml_agrees_with_the_data_set(name):
    spec, said = IMAGE_SETS[name], conf(name)
    assert list(said) == [*KEYS, *(["stands_in_for"] if name == "emnist47" else [])]
    assert (CONF / f"{name}.yaml").read_text().startswith("# ")
    assert (said["name"], tuple(said["shape"]), said["classes"]) == (spec.name, spec.shape, spec.classes)
    assert (said["train_examples"], said["test_examples"]) == (spec.train_examples, spec.test_examples)
    assert len(said["mean"]) == len(said["std"]) == spec.shape[0]
    assert said["augment"] == ("crop_flip" if name.startswith("cifar") else "none")
    width = {"digits": 512, "cifar10": 3072, "cifar100": 3072}.get(name, 1568)
    assert said["mlp_hidden"] == [width] * 3


TOLERANCES = dict.fromkeys(("digits", "mnist", "fashion_mnist", "emnist47"), 5e-4)
TOLERANCES["cifar10"] = 1e-2  # its JPEG copies are a little smoother


@pytest.mark.parametrize(("name", "tolerance"), TOLERANCES.items())
def test_the_train_images_become_standard(name, tolerance, real_images):
    said = conf(name)
    images = (load_images(name, None) if name == "digits" else real_images(name)).train_images
    standard = PixelScale(said["mean"], said["std"])(images)
    assert standard.mean((0, 2, 3)).abs().max() < tolerance
    assert (standard.std((0, 2, 3)) - 1).abs().max() < tolerance
