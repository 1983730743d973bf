"""Networks, data sets and tasks of plug-ins: described, counted, built, and refused where they are not what they should be."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import plugin_files
import pytest
import torch

from chtexp.build import builder_of
from chtexp.config.compose import compose_run
from chtexp.config.run import Run, describe_run
from chtexp.cost.count import cost, counts_of
from chtexp.errors import UserError
from chtexp.tasks.image_classification import build_classifier

PARTS = """
import numpy as np
from torch import nn
from torch.nn.functional import cross_entropy
from chtexp.models.vgg import VGG
from chtexp.config.models import VGGConfig
from chtexp.plugins import data, model, task
from chtexp.tasks import ImageClassification

@model("own_vgg")
def own_vgg(shape, classes, *, width: int = 4):
    return VGG(VGGConfig(width=width, stages=(1, 2)), shape, classes)

@model("own_mlp")
def own_mlp(shape, classes, *, hidden: int = 12):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], hidden), nn.ReLU(), nn.Linear(hidden, classes))

@data("own_rows")
def own_rows(*, examples: int = 90):
    labels = np.arange(examples) % 3
    images = np.zeros((examples, 8, 8), np.uint8)
    images[np.arange(examples), labels] = 200
    return images, labels

@task("own_smoothed")
class Smoothed(ImageClassification):
    smoothing: float = 0.1

    def loss(self, model, batch):
        return batch.weight * cross_entropy(model(batch.images), batch.labels, label_smoothing=self.smoothing)
"""
YAML = {
    "model/own_vgg": "name: own_vgg\nwidth: 4\n",
    "model/own_mlp": "name: own_mlp\n",
    "data/own_rows": "family: images\nsource: own_rows\nname: Rows\nexamples: 90\nmlp_hidden: [8]\naugment: none\n",
    "task/own_smoothed": "defaults: [image_classification, _self_]\nname: own_smoothed\nsmoothing: 0.2\n",
}


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


@pytest.fixture
def own(tmp_path: Path) -> Path:
    for name, text in YAML.items():
        path = tmp_path / f"conf/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own_parts.py").write_text(PARTS)
    return tmp_path


def run(own: Path, *words: str) -> Run:
    typed = [
        "data=digits",
        "method=set",
        "method.sparsity=0.8",
        f"plugins=[{own}/own_parts.py]",
        f"paths.runs={own}/runs",
    ]
    return compose_run([*typed, f"paths.cache={own}/cache", *words], own / "conf")


def test_all_parts_of_a_run_may_be_a_persons_own(own: Path) -> None:
    mine = run(own, "data=own_rows", "model=own_mlp", "task=own_smoothed", "task.smoothing=0.3")
    assert mine.plugins[0].registers == ("data own_rows", "model own_mlp", "task own_smoothed")
    assert (mine.data.shape, mine.data.classes, mine.data.train_examples) == ((1, 8, 8), 3, 72)
    assert mine.config()["model"] == {"name": "own_mlp", "hidden": 12}
    assert (mine.task.smoothing, mine.task.epochs) == (0.3, 100)
    assert describe_run(mine.config()) == mine
    ids = {mine.id, run(own, "data=own_rows", "model=own_mlp", "task=own_smoothed").id, run(own, "data=own_rows").id}
    assert len(ids) == 3
    assert run(own, "model=own_mlp", "+model.hidden=13").id != run(own, "model=own_mlp").id


def test_a_network_counts_as_the_shipped_one_that_it_is(own: Path) -> None:
    mine = run(own, "model=own_vgg")
    shipped = run(own, "model=vgg16", "model.width=4", "model.stages=[1,2]", "task=image_classification", "method=set")
    assert counts_of(mine)[:3] == counts_of(shipped)[:3]
    assert sorted(counts_of(mine).layers) == sorted(counts_of(shipped).layers)
    assert cost(mine) == cost(shipped)
    one, other = (build_classifier(each.model, each.data, seed=3).model for each in (mine, shipped))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(one.eval()(images), other.eval()(images)), "its weights depend on the seed alone"


def test_a_network_that_names_no_layers_is_sparse_but_in_its_head(own: Path) -> None:
    assert counts_of(run(own, "model=own_mlp"))[:3] == (64 * 12 + 12 + 12 * 10 + 10, 64 * 12, 12 * 10)


def test_a_task_is_the_shipped_one_but_for_what_it_replaces(own: Path) -> None:
    mine, shipped = run(own, "task=own_smoothed", "task.smoothing=0"), run(own)
    tasks = [builder_of(each).task(None, torch.device("cpu"))[0] for each in (mine, shipped)]
    model = build_classifier(shipped.model, shipped.data, seed=0).model
    losses = [task.loss(model, next(iter(task.batches(0)))[0]) for task in tasks]
    assert torch.equal(*losses)
    smoothed = builder_of(run(own, "task=own_smoothed")).task(None, torch.device("cpu"))[0]
    assert smoothed.smoothing == 0.2
    assert not torch.equal(smoothed.loss(model, next(iter(smoothed.batches(0)))[0]), losses[0])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))",
            "model own_mlp fails on images .*shapes cannot be multiplied",
        ),
        (
            "return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.Linear(9, 3))",
            r"must turn images .* into logits \[B, 10\], not \[2, 3\]",
        ),
        ("return nn.Linear(3, 3)", "model own_mlp: Linear has 1 linear layer.*nothing is left to be sparse"),
        ("return 3", "must return an nn.Module, not int"),
        (
            "raise KeyError('x')",
            r"own_mlp cannot be built for images \[1, 8, 8\] .own_parts.py, line 16.: KeyError: 'x'",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_said_before_there_is_a_folder(body: str, said: str, own: Path) -> None:
    source = PARTS.replace(PARTS[PARTS.index("    return nn.Sequential(") :].splitlines()[0].strip(), body)
    (own / "own_parts.py").write_text(source)
    with pytest.raises(UserError, match=said):
        cost(run(own, "model=own_mlp"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return images", "must return .images, labels., or that twice, .* not ndarray"),
        ("return images / 255, labels", r"must return uint8 images .* not float64 \[90, 1, 8, 8\] and int64 \[90\]"),
        ("return images, labels[1:]", r"not uint8 \[90, 1, 8, 8\] and int64 \[89\]"),
        ("return images, labels - 1", "whole number from 0 on"),
        ("return images, labels * 0", "class"),
        ("raise OSError('gone')", r"data own_rows failed .own_parts.py, line 23.: OSError: gone"),
    ],
)
def test_data_that_are_none(body: str, said: str, own: Path) -> None:
    (own / "own_parts.py").write_text(PARTS.replace("return images, labels", body))
    with pytest.raises(UserError, match=said):
        run(own, "data=own_rows")


def test_data_are_those_that_the_function_returns_now(own: Path) -> None:
    counted = PARTS.replace(
        "    labels = np.arange",
        f"    with open('{own}/calls', 'a') as file:\n        file.write('x')\n    labels = np.arange",
    )
    (own / "own_parts.py").write_text(counted)
    with plugin_files.nothing_left():
        first = run(own, "data=own_rows")
    with plugin_files.nothing_left():
        assert run(own, "data=own_rows").id == first.id
    assert (own / "calls").read_text() == "xx", "it may read files that have changed, so it is called again"
    (own / "own_parts.py").write_text(counted.replace("= 200", "= 100"))
    with plugin_files.nothing_left():
        other = run(own, "data=own_rows")
    assert other.data.mean != first.data.mean
    (own / "own_parts.py").write_text(counted.replace("= 200", f"= int(open('{own}/bright').read())"))
    ids = []
    for bright in ("50", "60", "50"):
        (own / "bright").write_text(bright)
        with plugin_files.nothing_left(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            ids.append(run(own, "data=own_rows").id)
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=own_mlp", "model.hiden=3"), "hiden"),
        (("model=own_mlp", "+model.hiden=3"), "unknown key 'model.hiden'"),
        (("model=own_mlp", "+model.hidden=x"), "model.hidden should be a valid integer"),
        (("task=own_smoothed", "task.smoothing=x"), "task.smoothing should be a valid number"),
        (("data=own_rows", "data.examples=x"), "data.examples should be a valid integer"),
        (("data=own_rows", "+data.size=3"), "data.size and data.channels are not for data own_rows"),
        (("data=multi30k", "model=own_mlp"), "model own_mlp does not fit data multi30k"),
        (("data=multi30k", "task=own_smoothed"), "task own_smoothed does not fit data multi30k"),
        (("model=own_vgg", "method=chts_n"), "does not fit model own_vgg: its topology correlates input features"),
    ],
)
def test_words_that_do_not_fit(words: tuple[str, ...], said: str, own: Path) -> None:
    with pytest.raises(UserError, match=said):
        run(own, *words)


def test_a_task_must_extend_one_of_the_package(own: Path) -> None:
    source = """
    from chtexp.plugins import task

    @task("own_nothing")
    class Nothing:
        pass
    """
    (own / "own_parts.py").write_text(textwrap.dedent(source))
    with pytest.raises(UserError, match="task own_nothing must be a class that extends one of chtexp"):
        run(own)
