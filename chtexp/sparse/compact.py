"""A trained sparse network without its inactive neurons: smaller plain modules that compute the same.

A neuron without a link from below has a constant output, which goes into the biases of the layer above. A neuron without a link
to above is read by nobody. Both are cut out, again and again, until every neuron that is left lies on a path. The channels of a
convolution are its neurons: the links of a channel are those of all its kernels.
Shapes: O outputs of the layer below (neurons or channels), I its inputs, A outputs of the layer above, R places at which it reads
each of the O: the kernel's, or the pixels of a flattened channel.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse.cpu.csr import CsrLinear, arrange_sequentials, execute_dense
from chtexp.sparse.traced import Operation, operations
from chtexp.sparse.wiring import outer_sequentials

if TYPE_CHECKING:
    from chtexp.sparse.engine import DynamicSparsity

Layer = nn.Linear | nn.Conv2d
ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
    nn.Softplus, nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Dropout, nn.AlphaDropout, nn.Identity,
)  # fmt: skip
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)  # each neuron by itself, once the statistics are fixed
OF_IMAGES = (nn.BatchNorm2d, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


class NothingToCut(UserError):
    """No neurons of a network can be cut out."""


def compact(network: DynamicSparsity | nn.Module) -> nn.Module:
    """Make a copy of a network that has only active neurons.

    Neurons can be cut out between two linear maps or convolutions that feed each other, and nothing else, through activations,
    batch norm, pooling, dropout and flattening: in a network whose forward pass `torch.fx` can trace, e.g. inside the blocks of a
    ResNet, or else in an `nn.Sequential`, which must then be applied as a whole. All others stay, e.g. the channels that blocks
    add to. So does a constant channel that a convolution with padding reads, unless it is 0: at the border the padding is read in
    its place. Inputs and outputs of the network stay as they are. Inputs are batches: [B, I], or [B, C, H, W].

    Args:
        network: in training, or a plain model whose weights are 0 where there is no link. It stays as it is.

    Returns:
        A plain model in evaluation mode, with the same outputs but for rounding.

    Raises:
        NothingToCut: nothing shows which layer feeds which.
        UserError: hooks, `nn.utils.prune` or a parametrization decide what the network computes.
    """
    model = network if isinstance(network, nn.Module) else network.model
    _check_plain(model)
    small = _plain_copy(model)
    pairs = [pair for traced in _traced(small) for pair in _pairs(traced, _shared(small, traced))]
    if not pairs:
        raise NothingToCut(
            f"{type(model).__name__} shows no linear maps or convolutions that feed each other through activations alone, "
            "so nothing can be cut out"
        )
    with torch.no_grad():
        while any(pair.cut() for pair in pairs):
            pass
    return small


def _check_plain(model: nn.Module) -> None:
    """Check that what a module computes is what its type and its parameters say."""
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise UserError(
                f"module '{name}' has hooks (nn.utils.prune, spectral_norm), which may change what it computes: remove "
                "them first, e.g. by nn.utils.prune.remove"
            )
        if isinstance(module, nn.Linear | nn.Conv2d) and "weight" not in module._parameters:
            raise UserError(f"the weight of module '{name}' is computed (a parametrization): make it a parameter first")


def _plain_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose linear maps have matrices."""
    copied = copy.deepcopy(model).eval()
    for module in copied.modules():
        if isinstance(module, CsrLinear):
            links, weight_K = module.compressed.links, module.weight.detach()
            matrix_OI = weight_K.new_zeros(module.out_features, module.in_features)
            links.put(matrix_OI, weight_K)
            execute_dense(module, matrix_OI)
    arrange_sequentials(copied)
    return copied


def _traced(model: nn.Module) -> list[list[Operation]]:
    """The operations of the model, or of its outermost Sequentials where its own forward pass cannot be traced."""
    try:
        return [operations(model)]
    except Exception:  # whatever a forward pass does that is met by a proxy in the place of its input
        return [operations(module, inside=False) for module in outer_sequentials(model)]


def _shared(model: nn.Module, traced: Sequence[Operation]) -> set[int]:
    """The ids of modules that stand in several places, are applied several times, or whose parameters others read as well."""
    places = Counter(id(child) for module in model.modules() for child in module._modules.values())
    holders = Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())
    applied = Counter(id(operation.module) for operation in traced)
    others = [operation.name for operation in traced if operation.module is None]  # also modules applied by keyword
    read = {*others, *(name.rpartition(".")[0] for name in others)}
    return {
        id(module)
        for name, module in model.named_modules()
        if max(places[id(module)], applied[id(module)]) > 1
        or name in read
        or any(holders[id(one)] > 1 for one in module._parameters.values() if one is not None)
    }


@dataclass(frozen=True)
class _Pair:
    """Two layers, of which the first feeds the second one and nothing else, and the modules between them."""

    below: Layer
    between: Sequence[nn.Module]
    above: Layer

    def cut(self) -> bool:
        """Cut out the inactive neurons between the layers, in place; tell whether there were any."""
        read_AOR = self._read()
        fed_O = self.below.weight.flatten(1).ne(0).any(1)
        read_O = read_AOR.ne(0).any(2).any(0)
        constant_O, same_O = self._constants()
        kept_O = read_O & (fed_O | ~same_O)
        if not bool(kept_O.any()):
            kept_O[0] = True  # a layer has at least one neuron
        if bool(kept_O.all()):
            return False
        folded_O = read_O & ~kept_O
        _add_to_bias(self.above, read_AOR[:, folded_O].double().sum(2) @ constant_O[folded_O].double())
        for module in (self.below, *self.between):
            if isinstance(module, (nn.Linear, nn.Conv2d, *NORMS)):
                _keep(module, kept_O)
        _read_only(self.above, read_AOR[:, kept_O])
        return True

    def _read(self) -> Tensor:
        """[A, O, R], the weights by which the layer above reads each neuron."""
        outputs = self.below.weight.shape[0]
        return self.above.weight.unflatten(1, (outputs, -1)).flatten(2)

    def _constants(self) -> tuple[Tensor, Tensor]:
        """[O], what the layer above reads of each neuron if nothing feeds it, and [O] bool, whether this is so everywhere."""
        weight, bias = self.below.weight, self.below.bias
        constant_O = torch.zeros_like(weight.flatten(1)[:, 0]) if bias is None else bias.clone()
        same_O = torch.ones_like(constant_O, dtype=torch.bool)
        shape = (1, -1, 1, 1) if isinstance(self.below, nn.Conv2d) else (1, -1)
        for module in self.between:
            if isinstance(module, nn.AvgPool2d) and _averages_padding(module):
                same_O &= constant_O == 0
            if isinstance(module, (*ELEMENTWISE, *NORMS)):
                constant_O = module(constant_O.view(shape)).flatten()
        if isinstance(self.above, nn.Conv2d) and _pads_with_zeros(self.above):
            same_O &= constant_O == 0
        return constant_O, same_O


def _pairs(traced: Sequence[Operation], shared: set[int]) -> Iterator[_Pair]:
    """Every two layers of which one feeds the other alone, through modules that treat each neuron by itself."""
    readers: dict[int, list[int]] = {number: [] for number in range(len(traced))}
    for number, operation in enumerate(traced):
        for read in operation.reads:
            readers[read].append(number)
    for number, operation in enumerate(traced):
        below, between = operation.module, list[nn.Module]()
        if not _is_layer(below) or id(below) in shared:
            continue
        while len(readers[number]) == 1:
            (number,) = readers[number]
            module = traced[number].module
            if _is_layer(module):
                if id(module) not in shared and _fits(below, between, module):
                    yield _Pair(below, between, module)
                break
            if (
                module is None
                or not _passes(below, between, module)
                or (id(module) in shared and isinstance(module, NORMS))
            ):
                break
            between.append(module)


def _is_layer(module: nn.Module | None) -> TypeGuard[Layer]:
    """Whether the links of a module can be read off its weight; those of grouped convolutions lie elsewhere."""
    return type(module) is nn.Linear or (type(module) is nn.Conv2d and module.groups == 1)


def _passes(below: Layer, between: Sequence[nn.Module], module: nn.Module) -> bool:
    """Whether a module treats every neuron by itself, and the same way everywhere but at the border."""
    flat = any(isinstance(one, nn.Flatten) for one in between)
    if type(module) is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    if type(module) in OF_IMAGES and (isinstance(below, nn.Linear) or flat):
        return False
    if isinstance(module, NORMS):  # after Flatten it has numbers for every pixel
        fits = type(module) is (nn.BatchNorm1d if isinstance(below, nn.Linear) else nn.BatchNorm2d)
        return fits and not flat and module.running_var is not None
    if isinstance(module, nn.MaxPool2d | nn.AdaptiveMaxPool2d) and module.return_indices:
        return False
    if isinstance(module, nn.MaxPool2d):
        return _none(module.padding) or module.dilation in (1, (1, 1))  # or a place might see padding alone
    if isinstance(module, nn.PReLU):
        return module.num_parameters == 1
    return type(module) in (*ELEMENTWISE, *OF_IMAGES)


def _fits(below: Layer, between: Sequence[nn.Module], above: Layer) -> bool:
    """Whether the inputs of a layer are the outputs of another one, neuron by neuron or channel by channel."""
    if isinstance(below, nn.Linear):
        return isinstance(above, nn.Linear) and above.in_features == below.out_features
    flat = any(isinstance(one, nn.Flatten) for one in between)
    return isinstance(above, nn.Linear) == flat and above.weight.shape[1] % below.out_channels == 0


def _none(padding: int | str | Sequence[int]) -> bool:
    return padding == "valid" or (
        not isinstance(padding, str) and not any([padding] if isinstance(padding, int) else padding)
    )


def _averages_padding(pool: nn.AvgPool2d) -> bool:
    return pool.divisor_override is not None or (pool.count_include_pad and not _none(pool.padding))


def _pads_with_zeros(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not _none(convolution.padding)


def _add_to_bias(layer: Layer, added_A: Tensor) -> None:
    if layer.bias is not None:
        layer.bias.copy_(layer.bias.double() + added_A)
    elif bool(added_A.any()):
        layer.bias = nn.Parameter(added_A.to(layer.weight.dtype))


def _keep(module: nn.Module, kept_O: Tensor) -> None:
    """Keep some of the outputs of a layer, or of the neurons of a norm."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        setattr(module, name, nn.Parameter(parameter[kept_O], requires_grad=parameter.requires_grad))
    for name, buffer in list(module.named_buffers(recurse=False)):
        setattr(module, name, buffer[kept_O] if buffer.dim() else buffer)
    size = next(name for name in ("out_features", "out_channels", "num_features") if hasattr(module, name))
    setattr(module, size, int(kept_O.sum()))


def _read_only(layer: Layer, weight_AOR: Tensor) -> None:
    """Have a layer read some of the neurons below alone."""
    if isinstance(layer, nn.Linear):
        layer.weight = nn.Parameter(weight_AOR.flatten(1), requires_grad=layer.weight.requires_grad)
        layer.in_features = layer.weight.shape[1]
    else:
        weight = weight_AOR.unflatten(2, layer.weight.shape[2:])
        layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)
        layer.in_channels = layer.weight.shape[1]
