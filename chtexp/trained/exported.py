"""The folder of an exported image classifier, and how to load it: plain modules of torch, from safetensors alone.

    network = load_exported("mine")                       # an nn.Module that takes [B, C, H, W] and returns logits [B, K]
    network = load_exported("mine", execution="csr")      # the same, whose sparse layers compute with their links alone

    model.safetensors   the weights of the network without inactive neurons; its metadata say how to build it
    model.onnx          the same network for ONNX runtimes; batches of any size
    summary.json        what was exported: neurons, links, bytes, accuracy and speed
    README.md           the same for people
    SHA256SUMS          checksums of all these, as `sha256sum --check` takes them

Shapes: B batch, C channels, H height, W width, K classes, O outputs, I inputs.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Literal, TypedDict, get_args

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from chtexp.errors import UserError, unknown
from chtexp.sparse.cpu.csr import arrange_sequentials, execute_links
from chtexp.sparse.links import Links
from chtexp.store import Damaged
from chtexp.store.seal import SUMS, file_checksum
from chtexp.trained.architecture import Layer, build, describe, plain

WEIGHTS, ONNX, SUMMARY, README = "model.safetensors", "model.onnx", "summary.json", "README.md"
METADATA = "chtexp"  # the key of the metadata of WEIGHTS
LINKS_BELOW = (
    0.5  # density; layers 145 and 226 wide, of 0.7, take by links 1.3 times as long for 256 images, 0.9 for one
)
Execution = Literal["dense", "csr"]


class Inputs(TypedDict):
    """What a network takes: images of this shape, of which each channel is (pixel / 255 - mean) / std.

    Attributes:
        shape: channels, height and width, in pixels.
        mean: of each channel, in [0, 1].
        std: standard deviation of each channel.
    """

    shape: list[int]
    mean: list[float]
    std: list[float]


class Described(TypedDict):
    """A network and what it takes.

    Attributes:
        layers: the network, for `chtexp.trained.architecture.build`.
        inputs: what it takes.
        classes: K.
    """

    layers: list[Layer]
    inputs: Inputs
    classes: int


def load_exported(folder: str | Path, execution: Execution = "dense") -> nn.Module:
    """Load a network that `chtexp export` wrote.

    Args:
        folder: what was written.
        execution: `dense`: modules of torch alone. `csr`: linear maps with links at less than half of their pairs become
            `chtexp.sparse.cpu.csr.CsrLinear`s, which compute with these alone, on a CPU, where that is faster.

    Returns:
        The network in evaluation mode: from [B, C, H, W] float32, normalised as `read_described(folder)["inputs"]` says,
        to logits [B, K].

    Raises:
        UserError: there is no such network, or no such execution.
        Damaged: a file is not what was written.
    """
    if execution not in get_args(Execution):
        raise unknown("execution", execution, get_args(Execution))
    described, path = read_described(folder), Path(folder) / WEIGHTS
    try:
        network = build(described["layers"])
        with safe_open(path, framework="pt") as file:
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Damaged(path, f"does not hold a network ({str(error).partition(chr(10))[0]})") from None
    return by_links(network) if execution == "csr" else network


def read_described(folder: str | Path) -> Described:
    """Read which network a folder holds, and what it takes.

    Args:
        folder: what `chtexp export` wrote.

    Raises:
        UserError: there is no such network.
        Damaged: the file is not what was written.
    """
    path = Path(folder) / WEIGHTS
    if not path.exists():
        raise UserError(f"{folder} holds no {WEIGHTS}; name a folder that chtexp export wrote")
    _check(path)
    try:
        with safe_open(path, framework="pt") as file:
            described: Described = json.loads((file.metadata() or {})[METADATA])
    except KeyError:
        raise UserError(f"{path} is not of an image classifier that chtexp export wrote") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, f"cannot be read ({str(error).partition(chr(10))[0]})") from None
    return described


def write_weights(network: nn.Module, inputs: Inputs, classes: int, folder: Path) -> None:
    """Write the weights of a network, and how to build it.

    Args:
        network: in evaluation mode.
        inputs: what it takes.
        classes: K.
        folder: where.

    Raises:
        UserError: the network's forward pass cannot be described.
    """
    described: Described = {"layers": describe(network), "inputs": inputs, "classes": classes}
    state = {name: tensor.detach().contiguous().clone() for name, tensor in plain(network).state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(state, metadata={"format": "pt", METADATA: json.dumps(described)}))


def by_links(network: nn.Module) -> nn.Module:
    """Make a copy of a network whose linear maps compute with their links alone where these are less than half of the pairs.

    Args:
        network: plain modules on the CPU, in float32.
    """
    made = copy.deepcopy(network)
    for module in made.modules():
        if type(module) is nn.Linear and module.weight.count_nonzero() < LINKS_BELOW * module.weight.numel():
            weight_OI = module.weight.detach()
            links = Links.of_mask(weight_OI != 0)
            execute_links(module, links, links.take(weight_OI))
    arrange_sequentials(made)
    return made.requires_grad_(False)


def _check(path: Path) -> None:
    """Compare a file with its checksum; raises Damaged."""
    try:
        lines = (path.parent / SUMS).read_text().splitlines()
    except (OSError, ValueError):
        raise Damaged(path.parent / SUMS, "cannot be read, so nothing says whether the weights are whole") from None
    if f"{file_checksum(path)}  {path.name}" not in lines:
        raise Damaged(path, f"is not what {SUMS} says")
