"""Which linear maps of a model are sparse, and which of them feed which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from chtexp.config.method import Method
from chtexp.errors import UserError, unknown
from chtexp.topology import Junction

Chain = Sequence[str] | Junction
COMPILED = "_orig_mod"  # the name under which torch.compile keeps the model that it was given
KEEPS_NEURONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
    nn.Softplus, nn.Hardswish, nn.Dropout, nn.AlphaDropout, nn.Identity, nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d,
)  # fmt: skip


def plain_model(model: nn.Module) -> nn.Module:
    """Return the model inside the wrappers of `torch.compile`, DataParallel and DistributedDataParallel."""
    while True:
        compiled = model._modules.get(COMPILED)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif compiled is not None:
            model = compiled
        else:
            return model


def plain_name(name: str) -> str:
    """Return the name of a module or parameter as it is where nothing is compiled."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a model, by the names that its parts have where nothing is compiled."""
    return {plain_name(name): value for name, value in model.state_dict().items()}


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """List all modules of a model by the names that they have where nothing is compiled."""
    return {plain_name(name): module for name, module in model.named_modules()}


def sparse_linears(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Linear]:
    """Find the linear maps of a model that are to be sparse.

    Args:
        model: the network.
        layers: their names; None: every `nn.Linear` but the last, the output head.

    Returns:
        The modules by name, in the order of `layers`.

    Raises:
        UserError: a name that is no `nn.Linear` of the model or is given twice, two layers that share a weight, or no layer.
    """
    linears = {name: module for name, module in named_modules(model).items() if isinstance(module, nn.Linear)}
    if layers is None:
        layers = list(linears)[:-1]
        if not layers:
            raise UserError(
                f"{type(model).__name__} has {len(linears)} linear layer(s) and the last one stays dense: nothing is left to "
                "be sparse; name the sparse layers with layers=[...]"
            )
    layers = [plain_name(name) for name in layers]
    for name in layers:
        if name not in linears:
            raise unknown("linear layer", name, linears)
    if len(set(layers)) < len(layers):
        raise UserError(f"a sparse layer is named twice: {', '.join(layers)}")
    chosen = {name: linears[name] for name in layers}
    for name, linear in chosen.items():
        if isinstance(linear, nn.LazyLinear):
            raise UserError(
                f"layer '{name}' is a LazyLinear, whose weight is not there yet: run one batch through the model first"
            )
        if "weight" not in linear._parameters:
            raise UserError(
                f"the weight of layer '{name}' is computed from other parameters (nn.utils.prune, weight_norm, parametrize): "
                "remove that, or leave the layer out of layers=[...]"
            )
    if len({id(linear.weight) for linear in chosen.values()}) < len(chosen):
        raise UserError("two sparse layers share one weight; name only one of them with layers=[...]")
    return chosen


def plain_chains(model: nn.Module, layers: Sequence[str]) -> list[list[str]]:
    """Find the chains of sparse layers that feed each other inside `nn.Sequential`s.

    The outputs of each layer of a chain are the inputs of the next: between them are only modules that keep every neuron at its
    position. What happens outside a Sequential cannot be seen from the modules alone.

    Args:
        model: the network.
        layers: the names of its sparse layers.

    Returns:
        Every chain of at least two layers, as layer names.
    """
    modules = named_modules(model)
    names, chains = {id(modules[name]): name for name in layers}, []
    for sequential in outer_sequentials(model):
        chain: list[str] = []
        for module in _flat(sequential):
            if id(module) in names:
                chain.append(names[id(module)])
            elif not isinstance(module, KEEPS_NEURONS):
                chains.append(chain)
                chain = []
        chains.append(chain)
    return [chain for chain in chains if len(chain) > 1]


def layers_feeding_each_other(
    model: nn.Module, layers: Sequence[str], chains: Sequence[Chain] | None, method: Method
) -> list[Chain]:
    """Find out which sparse layers feed which.

    Args:
        model: the network.
        layers: the names of its sparse layers.
        chains: the answer, where the caller knows it; None: as the model shows it.
        method: whether this matters: only if it percolates.

    Returns:
        The chains.

    Raises:
        UserError: the method percolates, and the model does not show what some layer feeds or is fed by.
    """
    if chains is not None:
        return list(chains)
    found = plain_chains(model, layers)
    unknown_of = sorted(set(layers).difference(*found))
    if unknown_of and method.percolation and len(layers) > 1:
        raise UserError(
            f"method '{method.name}' percolates and needs to know which layers feed which, which {type(model).__name__} "
            f"does not show for {', '.join(unknown_of)}: pass chains=[['first', 'second'], ...], or chains=() if none does"
        )
    return list(found)


def outer_sequentials(model: nn.Module) -> list[nn.Sequential]:
    """The `nn.Sequential`s of a model that lie in no other."""
    nested = {child for outer in _sequentials(model) for child in _sequentials(outer) if child is not outer}
    return [outer for outer in _sequentials(model) if outer not in nested]


def _sequentials(model: nn.Module) -> list[nn.Sequential]:
    return [module for module in model.modules() if isinstance(module, nn.Sequential)]


def _flat(sequential: nn.Sequential) -> Iterator[nn.Module]:
    """The modules of a Sequential in order, those of Sequentials directly inside it in their place."""
    for module in sequential:
        if isinstance(module, nn.Sequential):
            yield from _flat(module)
        else:
            yield module
