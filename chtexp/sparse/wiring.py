"""Which layers of a model are sparse, and which of them feed which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from torch import Tensor, nn

from chtexp.config.method import Method
from chtexp.errors import UserError
from chtexp.sparse.maps import CONVOLUTIONS, LinearMap, form_of, known_form, sparse_maps
from chtexp.topology import Junction
from chtexp.topology.percolation import junctions_of

Chain = Sequence[str] | Junction
COMPILED = "_orig_mod"  # the name under which torch.compile keeps the model that it was given
KEEPS_NEURONS = (  # of linear maps: every feature stays at its position
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
    nn.Softplus, nn.Hardswish, nn.Dropout, nn.AlphaDropout, nn.Identity, nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d,
)  # fmt: skip

KEEPS_CHANNELS = (  # of convolutions
    *KEEPS_NEURONS, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.LocalResponseNorm, nn.Dropout1d,
    nn.Dropout2d, nn.FeatureAlphaDropout, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.LPPool1d, nn.LPPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.Upsample, nn.ZeroPad1d,
    nn.ZeroPad2d, nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReplicationPad1d, nn.ReplicationPad2d,
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


def sparse_layers(model: nn.Module, layers: Sequence[str] | None) -> dict[str, LinearMap]:
    """Find the modules of a model that are to be sparse; see `sparse_maps`.

    Args:
        model: the network.
        layers: their names; None: all that can be sparse, but the output head and a first convolution.

    Returns:
        The modules by name, in the order of `layers`.

    Raises:
        UserError: what `sparse_maps` raises.
    """
    names = None if layers is None else [plain_name(name) for name in layers]
    return sparse_maps(named_modules(model), names, type(model).__name__)


def plain_chains(model: nn.Module, layers: Sequence[str]) -> list[list[str]]:
    """Find the chains of sparse layers that feed each other inside `nn.Sequential`s.

    The outputs of each layer of a chain are the inputs of the next: between them are only modules that keep every neuron at its
    position. Neurons of a convolution are its channels; behind an `nn.Flatten`, each feeds as many consecutive inputs of a
    linear map as a channel has pixels, if the inputs can be shared equally. What happens outside a Sequential cannot be seen
    from the modules alone.

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
        last: nn.Module | None = None  # of the chain
        flat = False  # whether the channels of `last` were flattened since
        for module in _flat(sequential):
            images = isinstance(last, CONVOLUTIONS) and not flat
            if id(module) in names:
                if last is not None and not _feeds(last, module, flat=flat):
                    chains.append(chain)
                    chain = []
                chain.append(names[id(module)])
                last, flat = module, False
            elif images and isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
                flat = True
            elif not isinstance(module, KEEPS_CHANNELS if images else KEEPS_NEURONS):
                chains.append(chain)
                chain, last = [], None
        chains.append(chain)
    return [chain for chain in chains if len(chain) > 1]


def _feeds(lower: nn.Module, upper: nn.Module, *, flat: bool) -> bool:
    """Whether the outputs of one layer, flattened or not, are the inputs of the next."""
    if not flat:
        return isinstance(lower, CONVOLUTIONS) == isinstance(upper, CONVOLUTIONS)
    return not isinstance(upper, CONVOLUTIONS) and _pixels(lower, upper) is not None


def _pixels(lower: nn.Module, upper: nn.Module) -> int | None:
    """The inputs of a linear map that each channel of a convolution has; None if they cannot be shared equally."""
    below, above = form_of(lower), form_of(upper)
    assert below is not None
    assert above is not None
    inputs, channels = above.shape[1], below.shape[0]
    return None if inputs % channels else inputs // channels


def columns_of_neurons(layers: Mapping[str, LinearMap], chains: Sequence[Chain]) -> dict[str, int]:
    """Find how many columns one input neuron of every layer has.

    A channel has the k * k columns of a convolution's kernel. In a linear map that a convolution feeds it has H * W, which is
    deduced from the numbers of inputs and channels.

    Args:
        layers: the sparse layers by name.
        chains: which of them feed which.

    Returns:
        The number by name.

    Raises:
        UserError: convolutions of different numbers of channels feed one linear map.
    """
    found = {name: known_form(module).kernel for name, module in layers.items()}
    pixels: dict[str, int] = {}
    for junction in (junction for chain in chains for junction in junctions_of(chain)):
        for below, above in product(junction.rows, junction.columns):
            lower, upper = layers.get(str(below)), layers.get(str(above))
            if not isinstance(lower, CONVOLUTIONS) or upper is None or isinstance(upper, CONVOLUTIONS):
                continue
            each = _pixels(lower, upper)
            if each is not None and pixels.setdefault(str(above), each) != each:
                raise UserError(f"layer '{above}' is fed by convolutions of different numbers of channels: {junction}")
    return found | pixels


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
