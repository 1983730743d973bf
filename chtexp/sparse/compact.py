"""A trained sparse network without its inactive neurons: smaller plain modules that compute the same.

A neuron without a link from below has a constant output, which goes into the biases of the layer above. A neuron without a link
to above is read by nobody. Both are cut out, again and again, until every neuron that is left lies on a path.
Shapes: O outputs, I inputs.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.sparse.cpu.csr import CsrLinear, arrange_sequentials, execute_dense
from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.wiring import KEEPS_NEURONS

NORMS = (nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d, nn.PReLU)  # they know how many neurons there are, or look at several


def compact(sparsity: DynamicSparsity) -> nn.Module:
    """Make a copy of a model that has only active neurons.

    Neurons between two linear maps of an `nn.Sequential` can be cut out, if only activations without parameters lie between
    them; all others stay. Inputs and outputs of the model stay as they are.

    Args:
        sparsity: of the model, which stays as it is.

    Returns:
        A plain model in evaluation mode, with the same outputs but for rounding.

    Raises:
        UserError: a sparse layer is no `nn.Linear`, or no neurons of the model can be cut out, because no `nn.Sequential` shows
            which layer feeds which.
    """
    others = sorted(
        {type(layer.linear).__name__ for layer in sparsity.layers if not isinstance(layer.linear, nn.Linear)}
    )
    if others:
        raise UserError(
            f"compact cuts neurons out between nn.Linears, and the sparse layers have a {' and a '.join(others)}"
        )
    model = _plain_copy(sparsity.model)
    shared = _shared(model)
    chains = [
        (below, between, above)
        for module in model.modules()
        if type(module) is nn.Sequential
        for below, between, above in _chains(list(module))
        if not {id(below), id(above)} & shared
    ]
    if not chains:
        raise UserError(
            f"{type(model).__name__} has no nn.Sequential in which linear maps feed each other through activations, so nothing "
            "can be cut out"
        )
    with torch.no_grad():
        changed = True
        while changed:
            changed = any(_cut(below, between, above) for below, between, above in chains)
    return model.eval()


def _plain_copy(model: nn.Module) -> nn.Module:
    """A copy whose linear maps have matrices."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if isinstance(module, CsrLinear):
            links, weight_K = module.compressed.links, module.weight.detach()
            matrix_OI = weight_K.new_zeros(module.out_features, module.in_features)
            links.put(matrix_OI, weight_K)
            execute_dense(module, matrix_OI)
    arrange_sequentials(copied)
    return copied


def _shared(model: nn.Module) -> set[int]:
    """The ids of modules that stand in several places of a model, or share a parameter with another."""
    places = Counter(id(child) for module in model.modules() for child in module._modules.values())
    holders = Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())
    return {
        id(module)
        for module in model.modules()
        if places[id(module)] > 1 or any(holders[id(one)] > 1 for one in module._parameters.values() if one is not None)
    }


def _chains(modules: Sequence[nn.Module]) -> list[tuple[nn.Linear, list[nn.Module], nn.Linear]]:
    """Every two linear maps that follow each other, with what lies between them."""
    found: list[tuple[nn.Linear, list[nn.Module], nn.Linear]] = []
    below: nn.Linear | None = None
    between: list[nn.Module] = []
    for module in modules:
        if type(module) is nn.Linear:
            if below is not None:
                found.append((below, between, module))
            below, between = module, []
        elif isinstance(module, KEEPS_NEURONS) and not isinstance(module, NORMS):
            between.append(module)
        else:
            below, between = None, []
    return found


def _cut(below: nn.Linear, between: Sequence[nn.Module], above: nn.Linear) -> bool:
    """Cut out the inactive neurons between two linear maps, in place; tell whether there were any."""
    fed_O, read_O = below.weight.ne(0).any(1), above.weight.ne(0).any(0)
    kept_O = fed_O & read_O
    if not bool(kept_O.any()):
        kept_O[0] = True  # a layer has at least one neuron
    if bool(kept_O.all()):
        return False
    constant_O = torch.zeros_like(below.weight[:, 0]) if below.bias is None else below.bias.clone()
    for module in between:
        constant_O = copy.deepcopy(module).eval()(constant_O)
    folded_O = above.weight[:, ~kept_O] @ constant_O[~kept_O]  # what is not read has weights of zero
    if above.bias is not None:
        above.bias.add_(folded_O)
    elif bool(folded_O.any()):
        above.bias = nn.Parameter(folded_O)
    _resize(below, below.weight[kept_O])
    if below.bias is not None:
        below.bias = nn.Parameter(below.bias[kept_O])
    _resize(above, above.weight[:, kept_O])
    return True


def _resize(linear: nn.Linear, weight_OI: Tensor) -> None:
    linear.weight = nn.Parameter(weight_OI.clone())
    linear.out_features, linear.in_features = weight_OI.shape
