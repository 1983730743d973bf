"""A network as the operations of its forward pass: the modules that it applies, and what each of them reads.

`torch.fx` traces any forward pass that does not depend on the values of its input, e.g. of an MLP, a VGG or a ResNet.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional


class Add(nn.Module):
    """The sum of two inputs, e.g. at the end of a residual block."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Add tensors of the same shape."""
        return one + other


class Mean(nn.Module):
    """The mean over some dimensions, e.g. over all pixels.

    Args:
        dims: the dimensions, which are left out of the output.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, inputs: Tensor) -> Tensor:
        """Average."""
        return inputs.mean(self.dims)


class Subsample(nn.Module):
    """Every so many-th pixel of an image, e.g. in the shortcut of a residual block.

    Args:
        stride: how many.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H / stride, W / stride], rounded up."""
        return images[:, :, :: self.stride, :: self.stride]


OWN = {module.__name__: module for module in (Add, Mean, Subsample)}  # what torch.nn does not have


@dataclass(frozen=True)
class Operation:
    """One operation of a forward pass.

    Attributes:
        name: of its module, as `named_modules` has it; of a function, a name of its own.
        module: what it applies; None: something else than a known module or function, the inputs and the output among it.
        reads: the numbers of the operations whose outputs it takes, in order.
    """

    name: str
    module: nn.Module | None
    reads: tuple[int, ...]


ELEMENTWISE = ("inplace",)
MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
FLAT = ("start_dim", "end_dim")
FUNCTIONS: Mapping[object, tuple[type[nn.Module], tuple[str, ...]]] = {  # as a module, and their arguments in order
    functional.relu: (nn.ReLU, ELEMENTWISE),
    torch.relu: (nn.ReLU, ()),
    "relu": (nn.ReLU, ()),
    functional.silu: (nn.SiLU, ELEMENTWISE),
    functional.gelu: (nn.GELU, ()),
    torch.sigmoid: (nn.Sigmoid, ()),
    torch.tanh: (nn.Tanh, ()),
    functional.max_pool2d: (nn.MaxPool2d, MAX),
    functional.avg_pool2d: (nn.AvgPool2d, AVERAGE),
    functional.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    torch.flatten: (nn.Flatten, FLAT),
    "flatten": (nn.Flatten, FLAT),
}
DEFAULTS: Mapping[type[nn.Module], Mapping[str, object]] = {
    nn.Flatten: {"start_dim": 0, "end_dim": -1}
}  # of the function, where the module has others
ADDITIONS = (operator.add, torch.add)


class _Whole(fx.Tracer):
    """Looks into no module but Sequentials, so that nothing can fail."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, nn.Sequential)


def operations(model: nn.Module, *, inside: bool = True) -> list[Operation]:
    """Trace the forward pass of a model.

    Args:
        model: in evaluation mode. Modules of torch are operations.
        inside: whether the insides of all other modules are traced; if not, only those of Sequentials are.

    Returns:
        Its operations in order: what it takes is the first, what it returns the last.

    Raises:
        Exception: whatever the forward pass raises; it cannot be traced.
    """
    graph = (fx.Tracer() if inside else _Whole()).trace(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    numbers = {node: number for number, node in enumerate(graph.nodes)}
    return [
        Operation(str(node.target), _module(node, modules), tuple(numbers[read] for read in node.all_input_nodes))
        for node in graph.nodes
    ]


def _module(node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """The module that an operation applies to the outputs that it reads, and to nothing else."""
    read, arguments = node.all_input_nodes, dict(node.kwargs)
    if node.op == "call_module":
        return modules[str(node.target)] if list(node.args) == read and not arguments else None
    if node.op not in ("call_function", "call_method"):
        return None
    if node.target in ADDITIONS:
        return Add() if len(read) == 2 and list(node.args) == read and not arguments else None
    if node.target is operator.getitem and len(read) == 1:
        return _subsample(node.args[1])
    if node.target is functional.pad and len(read) == 1 and len(node.args) == 2:
        return _pad(node.args[1], **arguments)
    if node.target == "mean" and len(read) == 1 and len(node.args) == 2 and not arguments:
        return _mean(node.args[1])
    if node.target not in FUNCTIONS or len(read) != 1 or node.args[:1] != (read[0],):
        return None
    return _of_function(node, read[0], arguments)


def _of_function(node: fx.Node, read: fx.Node, arguments: dict[str, Any]) -> nn.Module | None:
    """The module that does what a function of FUNCTIONS does, which reads one output."""
    make, names = FUNCTIONS[node.target]
    arguments |= dict(zip(names, node.args[1:], strict=False))
    if arguments.pop("inplace", False) and len(read.users) > 1:
        return None  # others read what it writes
    if len(node.args) > len(names) + 1:
        return None
    return make(**{**DEFAULTS.get(make, {}), **arguments})


def _mean(dims: object) -> nn.Module | None:
    """Over dimensions that do not depend on the input."""
    listed = [dims] if isinstance(dims, int) else dims
    return Mean(listed) if isinstance(listed, tuple | list) and all(isinstance(one, int) for one in listed) else None


def _subsample(index: object) -> nn.Module | None:
    """Of an index like [:, :, ::2, ::2]."""
    if not (isinstance(index, tuple) and len(index) == 4 and all(isinstance(one, slice) for one in index)):
        return None
    starts, steps = {(one.start, one.stop) for one in index}, [one.step or 1 for one in index]
    return Subsample(steps[3]) if starts == {(None, None)} and steps[:2] == [1, 1] and steps[2] == steps[3] else None


def _pad(sizes: object, mode: object = "constant", value: object = None) -> nn.Module | None:
    """Zeros around the last two or three dimensions."""
    if not (isinstance(sizes, tuple | list) and len(sizes) in (4, 6) and mode == "constant" and not value):
        return None
    return (nn.ConstantPad2d if len(sizes) == 4 else nn.ConstantPad3d)(tuple(sizes), 0.0)
