"""The modules whose weights can be sparse, and the weight of each as a matrix: a row an output, its columns by inputs.

`nn.Linear` holds this matrix itself, transformers' `Conv1D` holds it transposed, and a convolution holds it in more dimensions:
it is the matrix [out channels, in channels x kernel] [choice: every kernel position of every pair of channels is a pair of its
own, so that a link is one weight, as in RigL, GraNet and ITOP]. The weight stays the module's own parameter in its own shape.

Shapes: O outputs, I columns, K links. `native` is the weight's own shape.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from chtexp.errors import UserError, unknown
from chtexp.sparse.links import Links

LinearMap = nn.Linear | nn.Conv1d | nn.Conv2d  # or transformers' Conv1D, which torch does not know
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
KINDS = "nn.Linear, nn.Conv1d, nn.Conv2d and transformers' Conv1D can be sparse"


class Native(TypedDict, total=False):
    """The part of a saved layer that tells its weight's own shape.

    Attributes:
        native: the shape; of two dimensions it is [I, O]; left out where the weight is a matrix [O, I].
    """

    native: list[int]


@dataclass(frozen=True)
class Form:
    """How a weight is read as a matrix.

    Attributes:
        native: the weight's own shape.
        transposed: whether it is stored [I, O].
    """

    native: tuple[int, ...]
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """O and I."""
        if self.transposed:
            return self.native[1], self.native[0]
        return self.native[0], math.prod(self.native[1:])

    @property
    def kernel(self) -> int:
        """How many columns one input neuron (a channel, a feature) has."""
        return math.prod(self.native[2:])

    @property
    def plain(self) -> bool:
        """Whether the weight is the matrix itself."""
        return self.native == self.shape and not self.transposed

    @classmethod
    def restored(cls, shape: Sequence[int], native: Sequence[int] | None) -> Form:
        """The form of a saved weight: O and I, and what `saved` made."""
        outputs, inputs = shape
        return cls((outputs, inputs)) if native is None else cls(tuple(native), transposed=len(native) == 2)

    def saved(self) -> Native:
        """What must be saved beside O and I: the weight's own shape, where that is another."""
        return {} if self.plain else {"native": list(self.native)}

    def matrix(self, weight: Tensor) -> Tensor:
        """Return a tensor of the weight's shape as a contiguous matrix [O, I]; a view where the memory allows."""
        return weight if self.plain else (weight.t() if self.transposed else weight.reshape(self.shape)).contiguous()

    def weight(self, matrix_OI: Tensor) -> Tensor:
        """Return a matrix [O, I] in the weight's shape, as a view."""
        return matrix_OI if self.plain else matrix_OI.t() if self.transposed else matrix_OI.view(self.native)

    def write(self, weight: Tensor, links: Links, values_K: Tensor) -> None:
        """Make `values_K` [K] the only values of a tensor of the weight's shape, in place: at the links, zero elsewhere."""
        if self.plain:
            links.put(weight.zero_(), values_K)
            return
        matrix_OI = values_K.new_zeros(self.shape)
        links.put(matrix_OI, values_K)
        weight.copy_(self.weight(matrix_OI))


def form_of(module: nn.Module) -> Form | None:
    """Tell how the weight of a module is read as a matrix; None for kinds of modules that cannot be sparse."""
    if isinstance(module, nn.Linear):
        return Form((module.out_features, module.in_features))
    if isinstance(module, CONVOLUTIONS):
        return Form((module.out_channels, module.in_channels // module.groups, *module.kernel_size))
    transformers = sys.modules.get("transformers.pytorch_utils")  # without it there is no such module
    if transformers is not None and isinstance(module, transformers.Conv1D):
        return Form((module.nx, module.nf), transposed=True)
    return None


def sparse_maps(modules: Mapping[str, nn.Module], layers: Sequence[str] | None, model: str) -> dict[str, LinearMap]:
    """Find the modules of a model that are to be sparse.

    Args:
        modules: all modules of the model by name, in the order in which it registers them.
        layers: the names of those that are to be sparse. None: all linear maps and convolutions but the last one, the output
            head, and but the first one if that is a convolution: it has few inputs [choice: it stays dense as in RigL].
            Convolutions in groups stay dense, too.
        model: what the model is called, for the message.

    Returns:
        The modules by name, in the order of `layers`.

    Raises:
        UserError: a name that is no module of the model, a module that cannot be sparse, a name given twice, two layers that
            share a weight, or no layer.
    """
    able = {name: module for name, module in modules.items() if form_of(module) is not None}
    if layers is None:
        layers = _hidden(able)
        if not layers:
            raise UserError(
                f"{model} has {len(able)} linear layer(s) and convolution(s); the last one stays dense, and the first one if it "
                "is a convolution: nothing is left to be sparse; name the sparse layers with layers=[...]"
            )
    for name in layers:
        if name not in modules or not name:
            raise unknown("layer", name, able)
        if refusal := _refusal(modules[name]):
            raise UserError(f"{'the weight of ' if refusal.startswith('is computed') else ''}layer '{name}' {refusal}")
    if len(set(layers)) < len(layers):
        raise UserError(f"a sparse layer is named twice: {', '.join(layers)}")
    chosen = {name: cast(LinearMap, modules[name]) for name in layers}
    if len({id(module.weight) for module in chosen.values()}) < len(chosen):
        raise UserError("two sparse layers share one weight; name only one of them with layers=[...]")
    return chosen


def _hidden(able: Mapping[str, nn.Module]) -> list[str]:
    names = list(able)[:-1]
    if names and isinstance(able[names[0]], CONVOLUTIONS):
        names = names[1:]
    return [name for name in names if getattr(able[name], "groups", 1) == 1]


def known_form(linear: LinearMap) -> Form:
    """Tell how the weight of a module that can be sparse is read as a matrix."""
    form = form_of(linear)
    assert form is not None
    return form


def _refusal(module: nn.Module) -> str | None:
    """Why a module cannot be sparse, as what follows its name; None if it can."""
    kind, form = type(module).__name__, form_of(module)
    if (
        form is None and hasattr(nn, kind) and not isinstance(module, getattr(nn, kind))
    ):  # of the same name, e.g. quantised
        kind = f"{type(module).__module__}.{kind}"
    if isinstance(module, LazyModuleMixin):
        return f"is a {kind}, whose weight is not there yet: run one batch through the model first"
    if form is None:
        return f"is a {kind}; {KINDS}"
    if getattr(module, "groups", 1) != 1:
        return (
            f"is a {kind} in {module.groups} groups, each of which sees other inputs, so that it is no one matrix; leave it out "
            "of layers=[...]: a convolution can be sparse with groups=1"
        )
    if "weight" not in module._parameters:
        return (
            "is computed from other parameters (nn.utils.prune, weight_norm, parametrize): remove that, or leave the layer out "
            "of layers=[...]"
        )
    assert isinstance(module.weight, Tensor)
    if not module.weight.is_floating_point():
        return f"is a {kind} of {module.weight.dtype} numbers, which no optimizer trains; leave it out of layers=[...]"
    return None
