"""Which linear maps of a model are sparse, and which of them feed which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from chtexp.errors import UserError, unknown

KEEPS_NEURONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
    nn.Softplus, nn.Hardswish, nn.Dropout, nn.AlphaDropout, nn.Identity, nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d,
)  # fmt: skip


def sparse_linears(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Linear]:
    """The linear maps named by `layers`, in that order; by default every `nn.Linear` but the last, the output head.

    Raises UserError for a name that is no `nn.Linear` of the model, for a name given twice, and when none are left.
    """
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if layers is None:
        layers = list(linears)[:-1]
        if not layers:
            raise UserError(
                f"{type(model).__name__} has {len(linears)} linear layer(s) and the last one stays dense: nothing is left to "
                "be sparse; name the sparse layers with layers=[...]"
            )
    for name in layers:
        if name not in linears:
            raise unknown("linear layer", name, linears)
    if len(set(layers)) < len(layers):
        raise UserError(f"a sparse layer is named twice: {', '.join(layers)}")
    chosen = {name: linears[name] for name in layers}
    if len({id(linear.weight) for linear in chosen.values()}) < len(chosen):
        raise UserError("two sparse layers share one weight; name only one of them with layers=[...]")
    return chosen


def plain_chains(model: nn.Module, layers: Sequence[str]) -> list[list[str]]:
    """Chains of sparse layers that feed each other inside `nn.Sequential`s.

    Between them stands nothing but modules that keep every neuron at its position.
    The outputs of each layer of a chain are the inputs of the next. What lies outside a Sequential cannot be seen
    from the modules alone and is left to the caller.
    """
    names, chains = {id(model.get_submodule(name)): name for name in layers}, []
    nested = {child for outer in _sequentials(model) for child in _sequentials(outer) if child is not outer}
    for sequential in (outer for outer in _sequentials(model) if outer not in nested):
        chain: list[str] = []
        for module in _flat(sequential):
            if id(module) in names:
                chain.append(names[id(module)])
            elif not isinstance(module, KEEPS_NEURONS):
                chains.append(chain)
                chain = []
        chains.append(chain)
    return [chain for chain in chains if len(chain) > 1]


def _sequentials(model: nn.Module) -> list[nn.Sequential]:
    return [module for module in model.modules() if isinstance(module, nn.Sequential)]


def _flat(sequential: nn.Sequential) -> Iterator[nn.Module]:
    """The modules of a Sequential in order, those of Sequentials directly inside it in their place."""
    for module in sequential:
        if isinstance(module, nn.Sequential):
            yield from _flat(module)
        else:
            yield module
