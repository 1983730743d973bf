"""A network as plain data: which modules of torch it applies, with which settings, and what each reads. No code, no pickle.

    described = describe(model)          # JSON values
    network = build(described)           # the same modules, with weights of their own
    network.load_state_dict(weights_of(model))

It knows what `torch.fx` can trace into modules of `torch.nn`, flattening, padding, means and sums: MLPs, VGGs, ResNets.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypedDict

from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse.traced import OWN, operations

LEFT_OUT = (nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.Identity)  # they do nothing in evaluation mode
NOT_SETTINGS = {"self", "device", "dtype", "inplace"}


class Layer(TypedDict):
    """One module of a network.

    Attributes:
        module: its class: one of `torch.nn`, or of `chtexp.sparse.traced.OWN`.
        settings: the arguments that make it.
        reads: the numbers of the layers whose outputs it takes, from 0; -1 is the input.
    """

    module: str
    settings: dict[str, Any]
    reads: list[int]


class Network(nn.Module):
    """Modules that do not simply follow each other.

    Args:
        modules: in an order in which they can be computed.
        reads: for each, the numbers of the modules that it reads; -1 is the input.
    """

    def __init__(self, modules: Sequence[nn.Module], reads: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self._reads = [tuple(numbers) for numbers in reads]
        for number, module in enumerate(modules):
            self.add_module(str(number), module)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the output of the last module."""
        found = [inputs]  # what is read as -1 comes first
        for module, reads in zip(self.children(), self._reads, strict=True):
            found.append(module(*(found[number + 1] for number in reads)))
        return found[-1]


def plain(model: nn.Module) -> nn.Module:
    """Arrange the modules of a model as `build` arranges them; they stay the same objects.

    Args:
        model: in evaluation mode.

    Returns:
        An `nn.Sequential`, or a `Network` where modules do not simply follow each other.

    Raises:
        UserError: its forward pass cannot be described.
    """
    modules, reads = _listed(model)
    return _arranged(modules, reads)


def describe(model: nn.Module) -> list[Layer]:
    """Describe a model as plain values.

    Args:
        model: in evaluation mode.

    Returns:
        Its layers, from which `build` makes the same model with the names of `plain(model)`.

    Raises:
        UserError: its forward pass cannot be described.
    """
    modules, reads = _listed(model)
    return [
        {"module": type(module).__name__, "settings": _settings(module), "reads": list(numbers)}
        for module, numbers in zip(modules, reads, strict=True)
    ]


def build(layers: Sequence[Layer]) -> nn.Module:
    """Make the model that `describe` described.

    Args:
        layers: its layers.

    Returns:
        The model in evaluation mode, with weights that mean nothing yet.

    Raises:
        ValueError: a module that torch does not have.
    """
    modules: list[nn.Module] = []
    for layer in layers:
        made = OWN.get(layer["module"]) or getattr(nn, layer["module"], None)
        if not (isinstance(made, type) and issubclass(made, nn.Module)):
            raise ValueError(f"torch.nn has no module '{layer['module']}'")
        modules.append(made(**layer["settings"]))
    return _arranged(modules, [layer["reads"] for layer in layers]).eval()


def _arranged(modules: Sequence[nn.Module], reads: Sequence[Sequence[int]]) -> nn.Module:
    follow = all(list(numbers) == [number - 1] for number, numbers in enumerate(reads))
    return (nn.Sequential(*modules) if follow else Network(modules, reads)).eval()


def _listed(model: nn.Module) -> tuple[list[nn.Module], list[tuple[int, ...]]]:
    """The modules of a model in the order of its forward pass, and the numbers of those that each reads."""
    name = type(model).__name__
    try:
        traced = operations(model)
    except Exception as error:  # whatever a forward pass does with a proxy in the place of its input
        raise UserError(f"the forward pass of {name} cannot be traced ({str(error).partition(chr(10))[0]})") from None
    first, *steps, output = traced
    numbers, modules, reads = {0: -1}, list[nn.Module](), list[tuple[int, ...]]()
    for place, step in enumerate(steps, start=1):
        if step.module is None or not _is_known(step.module):
            raise UserError(f"the forward pass of {name} does what is none of torch's modules: {step.name}")
        if isinstance(step.module, LEFT_OUT):
            numbers[place] = numbers[step.reads[0]]
            continue
        numbers[place] = len(modules)
        modules.append(step.module)
        reads.append(tuple(numbers[read] for read in step.reads))
    if first.reads or [numbers[read] for read in output.reads] != [len(modules) - 1]:
        raise UserError(f"{name} has several inputs or outputs")
    if len({id(module) for module in modules if list(module.parameters())}) < sum(
        bool(list(m.parameters())) for m in modules
    ):
        raise UserError(f"{name} applies one layer several times")
    return modules, reads


def _is_known(module: nn.Module) -> bool:
    kind = type(module)
    return kind in (OWN.get(kind.__name__), getattr(nn, kind.__name__, None))


def _settings(module: nn.Module) -> dict[str, Any]:
    """The arguments that make a module like this one; its attributes have their names, as torch keeps it."""
    names = [name for name in inspect.signature(type(module).__init__).parameters if name not in NOT_SETTINGS]
    values = {name: getattr(module, name) for name in names if hasattr(module, name)}
    return {name: value is not None if name == "bias" else value for name, value in values.items()}
