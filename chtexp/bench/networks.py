"""The networks that are measured: the paper's MLPs, by the name of the data set that they are for.

Shapes: B batch, F input features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator

from chtexp.bench.settings import Densities, Names, PositiveInt, Settings, Widths
from chtexp.build.builder import sgd
from chtexp.config.images import ImageClassificationRecipe, ImageDataConfig
from chtexp.config.models import MLPConfig
from chtexp.config.resources import conf_dir, read_yaml
from chtexp.config.typed import describe
from chtexp.errors import UserError, unknown
from chtexp.tasks import Built
from chtexp.tasks.image_classification import build_classifier

OptimizerName = Literal["sgd", "adam"]


@dataclass(frozen=True)
class Network:
    """An MLP for images.

    Attributes:
        data: the data set that it is for.
        hidden: widths of the hidden layers.
    """

    data: ImageDataConfig
    hidden: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its data set."""
        return self.data.name

    @property
    def features(self) -> int:
        """The number of input features, F."""
        return math.prod(self.data.shape)

    @property
    def widths(self) -> str:
        """All widths in words, e.g. 784-1568x3-10."""
        same = len(set(self.hidden)) == 1
        hidden = f"{self.hidden[0]}x{len(self.hidden)}" if same else "-".join(map(str, self.hidden))
        return f"{self.features}-{hidden}-{self.data.classes}"

    def steps_of_an_epoch(self, batch: int) -> int:
        """Optimizer steps of a pass over the training images, with so many images a step."""
        return math.ceil(self.data.train_examples / batch)

    def build(self, seed: int) -> Built:
        """Build the model, dense, with its first weights."""
        return build_classifier(MLPConfig(hidden=self.hidden), self.data, seed)


def network_names() -> list[str]:
    """List the data sets that a network can be for: those of images, whose files say what shape these have."""
    contents = {path.stem: read_yaml(path) for path in (conf_dir() / "data").glob("*.yaml")}
    return sorted(name for name, said in contents.items() if said.get("family") == "images" and "shape" in said)


def check_network(name: str) -> str:
    """Check the name of a network, and return it.

    Raises:
        UserError: there is no such network.
    """
    if name not in network_names():
        raise unknown("network", name, network_names())
    return name


def _check_networks(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_network(name) for name in names)


class NetworkSettings(Settings):
    """Which networks are measured.

    Attributes:
        networks: data sets whose MLPs are measured.
        hidden: other widths for all of them; None: the paper's.
        density: of the sparse layers, in (0, 1].
        batch: images of one step.
        optimizer: of all weights.
    """

    networks: Annotated[Names, AfterValidator(_check_networks)] = ("mnist", "cifar10")
    hidden: Widths = None
    density: Densities = (0.01, 0.05, 0.1)
    batch: PositiveInt = 32
    optimizer: OptimizerName = "sgd"


def load_network(name: str, hidden: tuple[int, ...] | None = None) -> Network:
    """Load a network.

    Args:
        name: one of `network_names`.
        hidden: widths of the hidden layers; None: the paper's.

    Raises:
        UserError: an unknown name, or no widths.
    """
    data = describe(ImageDataConfig, read_yaml(conf_dir() / "data" / f"{check_network(name)}.yaml"), "data")
    if not (hidden or data.mlp_hidden):
        raise UserError(f"conf/data/{name}.yaml names no mlp_hidden: set hidden=, e.g. hidden=1568,1568,1568")
    return Network(data, hidden or data.mlp_hidden)


def load_recipe() -> ImageClassificationRecipe:
    """Load the paper's recipe for images."""
    return describe(ImageClassificationRecipe, read_yaml(conf_dir() / "task" / "image_classification.yaml"), "task")


def build_optimizer(name: OptimizerName, model: torch.nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    """Build an optimizer of all parameters of a model.

    Args:
        name: `sgd` as experiments have it, or `adam`.
        model: the model.
        fused: whether it is fused; False: torch's optimizer as it comes.
    """
    if name == "adam":
        return torch.optim.Adam(model.parameters(), fused=fused or None)
    built = sgd(load_recipe(), model)
    for group in built.param_groups:
        group["fused"] = fused or None
    return built
