"""Sparse execution: linear maps that hold their links alone, and compute with nothing else (arXiv:2501.19107 on a CPU).

`CsrLinear` is an `nn.Linear` whose weight is the vector [K] of its links' values. Its output is feature-major in memory (a
transposed view). Elementwise modules keep this layout, and the next `CsrLinear` wants it, so nothing is copied between layers.
Inside an `nn.Sequential`, linear maps and ReLUs that follow each other run as one node of the autograd graph
(`CsrSequential`).

float32 on the CPU runs on compiled kernels; everything else runs on torch's own products with compressed rows.

Shapes: O outputs, I inputs, B batch (all leading dimensions), K links.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from chtexp.sparse.cpu import kernels
from chtexp.sparse.links import Compressed, Links
from chtexp.system.kernels_cache import kernel_threads

Array = NDArray[np.float32]

SMALL_DENSE = 1 << 15  # pairs of a dense map (an output head) that a chain includes: as fast as torch up to this size
TILE = 200  # rows at a time where nothing is learned: activations stay in the cache (66 against 124 ms for MNIST's test set)
MOST_CHAINS = 8  # that one Sequential remembers
GATHERED = 1 << 24  # elements that are gathered at a time for the gradient of the links, without compiled kernels


class CsrLinear(nn.Linear):
    """y = x W^T + b, where `weight` [K] holds the values of the links of W, in row-major order.

    `execute_links` turns an `nn.Linear` into one in place, and `execute_dense` turns it back.

    Attributes:
        compressed: the links.
        chain: this layer alone, as what the kernels run.
        wants_dense_gradient: whether the next backward pass also leaves the gradient of all pairs.
        dense_gradient_OI: [O, I], that gradient, summed over the passes since gradients were cleared; None: there is none.
        pending: the gradient of the backward pass under way, summed over the layer's uses; None: there is none.
    """

    compressed: Compressed
    chain: Chain
    wants_dense_gradient: bool
    dense_gradient_OI: Tensor | None
    pending: Pending | None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., I] to outputs [..., O]."""
        return self.chain(inputs)

    def want_dense_gradient(self, wanted: bool) -> None:
        """Choose whether the passes to come leave the gradient of all pairs; forget what there is."""
        self.wants_dense_gradient, self.dense_gradient_OI, self.pending = wanted, None, None

    def take_dense_gradient(self) -> None:
        """Take what a backward pass has left, once its gradient has been added to the weight's."""
        if self.pending is not None:
            begins, former_OI = self.pending.begins, self.dense_gradient_OI
            new_OI = self.pending.gradient_OI
            self.dense_gradient_OI = new_OI if begins or former_OI is None else former_OI.add_(new_OI)
            self.pending = None

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Tensor],
        prefix: str,
        local_metadata: dict[str, object],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Refuse a weight: a state dict does not say of which links its values are."""
        if f"{prefix}weight" in state_dict:
            error_msgs.append(
                f"{prefix}weight: the layer holds the values of its links alone (execution csr), and a state dict does not say "
                "which links these are: keep training_state(sparsity) and load it by load_training_state, or call "
                "sparsity.make_dense() before saving and before loading"
            )
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def extra_repr(self) -> str:
        """Describe the layer as `nn.Linear` does, with its number of links."""
        return f"{super().extra_repr()}, links={self.weight.numel()}"


class CsrSequential(nn.Sequential):
    """An `nn.Sequential` that runs consecutive linear maps and ReLUs, a `CsrLinear` among them, as one chain."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply all modules in order."""
        modules = list(self)
        position = 0
        while position < len(modules):
            run, after = _run(modules, position)
            if run:
                inputs = self._chain(run)(inputs)
            else:
                inputs = modules[position](inputs)
                after = position + 1
            position = after
        return inputs

    def _chain(self, run: tuple[Step, ...]) -> Chain:
        chains: dict[tuple[Step, ...], Chain] = self.__dict__.setdefault("chains", {})
        if run not in chains:
            if len(chains) >= MOST_CHAINS:
                chains.clear()  # of modules that were replaced
            chains[run] = Chain(run)
        return chains[run]


class Pending(NamedTuple):
    """What a backward pass under way has left of a layer.

    Attributes:
        task: torch's number of the pass.
        begins: whether the weight had no gradient before.
        gradient_OI: [O, I], the gradient of all pairs.
    """

    task: int
    begins: bool
    gradient_OI: Tensor


class Step(NamedTuple):
    """One linear map of a chain, and whether a ReLU follows it."""

    linear: nn.Linear
    relu: bool


def execute_links(linear: nn.Linear, links: Links, weight_K: Tensor) -> None:
    """Turn a linear map into a `CsrLinear` in place; the module and its parameters stay the same objects.

    Args:
        linear: the module.
        links: its links.
        weight_K: [K], their weights.
    """
    linear.__class__ = CsrLinear
    assert isinstance(linear, CsrLinear)
    linear.compressed = Compressed.of(links)
    linear.chain = Chain((Step(linear, False),))
    linear.want_dense_gradient(False)
    _replace(linear.weight, weight_K)


def execute_dense(linear: nn.Linear, weight_OI: Tensor) -> None:
    """Turn a linear map into an ordinary `nn.Linear` in place; the module and its parameters stay the same objects.

    Args:
        linear: the module.
        weight_OI: [O, I], its weight.
    """
    for name in ("compressed", "chain", "wants_dense_gradient", "dense_gradient_OI", "pending"):
        linear.__dict__.pop(name, None)
    linear.__class__ = nn.Linear
    _replace(linear.weight, weight_OI)


def _replace(weight: Tensor, values: Tensor) -> None:
    """Give a parameter values of another shape.

    As long as an autograd graph lives (because somebody keeps the loss), so does the gradient accumulator of the old shape,
    which the next forward pass would use. torch drops it only if the type changes, so the type changes for a moment.
    """
    weight.grad = None
    weight.data = torch.empty(0, dtype=torch.float64 if weight.dtype != torch.float64 else torch.float32)
    weight.data = values


def arrange_sequentials(model: nn.Module) -> None:
    """Turn every plain `nn.Sequential` that directly contains a `CsrLinear` into a `CsrSequential`, and all others back."""
    for module in model.modules():
        if type(module) in (nn.Sequential, CsrSequential):
            has_links = any(isinstance(child, CsrLinear) for child in module.children())
            module.__class__ = CsrSequential if has_links else nn.Sequential
            module.__dict__.pop("chains", None)  # of links as they were


def _run(modules: Sequence[nn.Module | None], first: int) -> tuple[tuple[Step, ...], int]:
    """The longest chain from position `first` that can run as one, and where it ends; empty if there is none."""
    run: list[Step] = []
    position = first
    while position < len(modules):
        linear = modules[position]
        if not _fits(linear) or _hooked(linear):
            break
        follower = modules[position + 1] if position + 1 < len(modules) else None
        relu = type(follower) is nn.ReLU and not _hooked(follower)
        run.append(Step(linear, relu))
        position += 1 + relu
        if not relu and isinstance(follower, nn.ReLU):
            break
    return (tuple(run), position) if any(type(step.linear) is CsrLinear for step in run) else ((), first)


def _fits(module: nn.Module | None) -> TypeGuard[nn.Linear]:
    """Whether a chain can include the module: a `CsrLinear`, or a dense map so small that this is as fast as torch."""
    if type(module) is CsrLinear:
        return True
    if type(module) is not nn.Linear or module.in_features * module.out_features > SMALL_DENSE:
        return False
    weight = module.weight
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()


def _hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


class Chain:
    """Consecutive linear maps and their ReLUs, as the kernels run them.

    Args:
        steps: the linear maps in order, each with whether a ReLU follows it.

    Attributes:
        steps: the same.
        relus: for every linear map, whether a ReLU follows it.
        by_row: what `kernels.forward_chain` reads of the links: row starts and columns, each a tuple over linear maps.
        by_column: what `kernels.backward_chain` reads: column starts, rows and order, each a tuple over linear maps.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lists = [_lists(step.linear) for step in steps]
        self.steps = steps
        self.relus = tuple(step.relu for step in steps)
        self.by_row = tuple(zip(*(walk.by_row for walk in lists), strict=True))
        self.by_column = tuple(zip(*(walk.by_column for walk in lists), strict=True))
        self._pointers: list[int] = []
        self._weights: tuple[Array, ...] = ()
        self._biases: tuple[Array, ...] = ()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map inputs to outputs.

        Args:
            inputs: [..., I] of the first linear map.

        Returns:
            [..., O] of the last one, after its ReLU.

        Raises:
            RuntimeError: the inputs have another size or type than the first weight.
        """
        first = self.steps[0].linear
        weight = first.weight
        if inputs.shape[-1] != first.in_features:
            raise RuntimeError(f"{first} cannot multiply inputs of shape {tuple(inputs.shape)}")
        autocast = torch.is_autocast_enabled(inputs.device.type)
        if inputs.dtype != weight.dtype and not autocast:
            raise RuntimeError(f"inputs and weight must have one dtype, not {inputs.dtype} and {weight.dtype}")
        if inputs.dim() == 2 and inputs.shape[0] > TILE and len(self.steps) > 1 and not torch.is_grad_enabled():
            return torch.cat([self(part) for part in inputs.split(TILE)])
        inputs_BI = inputs.reshape(-1, first.in_features).to(weight.dtype)
        if weight.dtype == torch.float32 and weight.device.type == "cpu":
            parameters = [parameter for step in self.steps for parameter in (step.linear.weight, step.linear.bias)]
            if torch.is_grad_enabled():
                output_BO: Tensor = _FeatureMajor.apply(inputs_BI, self, *parameters)
            else:  # without a node of the graph: 7 microseconds of 69 for an image of MNIST
                output_BO, _, _ = self.run(inputs_BI, parameters)
        else:
            output_BO = self._with_torch(inputs_BI)
        if (
            autocast
        ):  # computed in the weight's type, which is more exact; returned in the type that an nn.Linear returns
            output_BO = output_BO.to(torch.get_autocast_dtype(inputs.device.type))
        return output_BO if inputs.dim() == 2 else output_BO.reshape(*inputs.shape[:-1], output_BO.shape[1])

    def run(
        self, inputs_BI: Tensor, parameters: Sequence[Tensor | None]
    ) -> tuple[Tensor, tuple[Array, ...], tuple[Array, ...]]:
        """Run the kernels.

        Args:
            inputs_BI: [B, I] float32, on the CPU.
            parameters: the weight and the bias (or None) of every linear map, in order.

        Returns:
            The output [B, O]; all activations, [features, B], from the inputs to the output; and the weights [K].
        """
        weights, biases = self.arrays(parameters)
        batch = inputs_BI.shape[0]
        hidden = [np.empty((step.linear.out_features, batch), np.float32) for step in self.steps[:-1]]
        output_BO = torch.empty_strided((batch, self.steps[-1].linear.out_features), (1, batch))
        activations = (_feature_major(inputs_BI), *hidden, output_BO.t().numpy())
        kernels.forward_chain(kernel_threads(), *self.by_row, weights, biases, self.relus, activations)
        return output_BO, activations, weights

    def _with_torch(self, inputs_BI: Tensor) -> Tensor:
        for linear, relu in self.steps:
            if isinstance(linear, CsrLinear):
                inputs_BI = _WithTorch.apply(inputs_BI, linear, linear.weight)
                inputs_BI = inputs_BI if linear.bias is None else inputs_BI + linear.bias
            else:
                inputs_BI = nn.functional.linear(inputs_BI, linear.weight, linear.bias)
            inputs_BI = inputs_BI.relu() if relu else inputs_BI
        return inputs_BI

    def __getstate__(self) -> dict[str, object]:
        """Copies and pickles leave out the memory of the parameters, which is not theirs."""
        return {**self.__dict__, "_pointers": [], "_weights": (), "_biases": ()}

    def arrays(self, parameters: Sequence[Tensor | None]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the memory of weights and biases as arrays, made anew only where it moved (2 microseconds each, or else 0.2).

        Args:
            parameters: the weight and the bias (or None) of every linear map, in order.

        Returns:
            The weights [K] and the biases [O], which are empty where there is none.
        """
        pointers = [0 if parameter is None else parameter.data_ptr() for parameter in parameters]
        if pointers != self._pointers:
            arrays = [
                _NO_BIAS if parameter is None else parameter.detach().view(-1).numpy() for parameter in parameters
            ]
            self._pointers, self._weights, self._biases = pointers, tuple(arrays[::2]), tuple(arrays[1::2])
        return self._weights, self._biases


class _Context(Protocol):
    """What a forward pass leaves to its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _ChainContext(_Context, Protocol):
    chain: Chain
    activations: tuple[Array, ...]
    weights: tuple[Array, ...]


class _LayerContext(_Context, Protocol):
    linear: CsrLinear


class _FeatureMajor(torch.autograd.Function):
    """A chain on compiled kernels, activations [features, batch], in one call forward and one backward.

    Between calls the caches are full of activations, and Python takes several times as long as usual; so there are few calls.
    What only the chain can see is kept as numpy arrays. What others can write to is saved as tensors, which torch guards. The
    chain can be differentiated once, and not by `torch.func`.
    """

    @staticmethod
    def forward(ctx: _ChainContext, inputs_BI: Tensor, chain: Chain, *parameters: Tensor | None) -> Tensor:
        output_BO, activations, weights = chain.run(inputs_BI, parameters)
        ctx.save_for_backward(inputs_BI, output_BO if chain.relus[-1] else None, *parameters[::2])
        ctx.chain, ctx.activations, ctx.weights = chain, activations, weights
        return output_BO

    @staticmethod
    @once_differentiable
    def backward(ctx: _ChainContext, gradient_BO: Tensor) -> tuple[Tensor | None, ...]:
        chain, activations = ctx.chain, ctx.activations
        _ = ctx.saved_tensors  # an error if one of them was written to since
        to_input = ctx.needs_input_grad[0]
        last = _feature_major(gradient_BO)
        if chain.relus[-1]:
            last = np.where(activations[-1] <= 0, np.float32(0), last)
        hidden = [np.empty(activation.shape, np.float32) for activation in activations[1:-1]]
        gradients = (np.empty_like(activations[0]) if to_input else activations[0], *hidden, last)
        of_weights = tuple([np.empty(weight.size, np.float32) for weight in ctx.weights])
        sums = tuple([np.empty(activation.shape[0], np.float32) for activation in activations])
        kernels.backward_chain(
            kernel_threads(),
            *chain.by_column,
            ctx.weights,
            chain.relus,
            activations,
            to_input,
            gradients,
            of_weights,
            sums,
        )
        of_parameters: list[Tensor | None] = []
        for position, (linear, _) in enumerate(chain.steps):
            of_weight = torch.from_numpy(of_weights[position])
            if not isinstance(linear, CsrLinear):
                of_weight = of_weight.view(linear.out_features, linear.in_features)
            elif linear.wants_dense_gradient:
                after, before = gradients[position + 1], activations[position]
                _keep_dense_gradient(linear, torch.from_numpy(after), torch.from_numpy(before))
            of_parameters += [of_weight, None if linear.bias is None else torch.from_numpy(sums[position + 1])]
        return (torch.from_numpy(gradients[0]).t() if to_input else None, None, *of_parameters)


def _lists(linear: nn.Linear) -> Compressed:
    """The lists that the kernels read: of the links, or of all pairs of a small dense map."""
    return linear.compressed if isinstance(linear, CsrLinear) else _all_pairs(linear.out_features, linear.in_features)


@lru_cache(maxsize=16)
def _all_pairs(outputs: int, inputs: int) -> Compressed:
    return Compressed.of(Links.all_pairs((outputs, inputs), torch.device("cpu")))


_NO_BIAS = np.empty(0, np.float32)


def _feature_major(tensor_BF: Tensor) -> Array:
    """[F, B], contiguous: the same memory if another chain made it, or else a copy."""
    transposed_FB = tensor_BF.detach().numpy().T
    return transposed_FB if transposed_FB.flags.c_contiguous else kernels.transpose(transposed_FB)


def _keep_dense_gradient(linear: CsrLinear, gradient_OB: Tensor, input_IB: Tensor) -> None:
    """Add up the gradient of all pairs over the layer's uses in one backward pass.

    It counts once the pass has added to the weight's gradient, which a pass for the gradients of inputs alone does not.
    """
    gradient_OI, task = gradient_OB @ input_IB.t(), torch._C._current_graph_task_id()
    if linear.pending is not None and linear.pending.task == task:
        linear.pending.gradient_OI.add_(gradient_OI)
        return
    begins = linear.weight.grad is None or not bool(linear.weight.grad.any())
    linear.pending = Pending(task, begins, gradient_OI)


class _WithTorch(torch.autograd.Function):
    """One product with torch's own operations, for any device and type."""

    @staticmethod
    def forward(ctx: _LayerContext, input_BI: Tensor, linear: CsrLinear, weight_K: Tensor) -> Tensor:
        ctx.save_for_backward(input_BI, weight_K)
        ctx.linear = linear
        lists = linear.compressed
        return (_compressed(lists.row_starts, lists.columns_K, weight_K, lists.shape) @ input_BI.t()).t()

    @staticmethod
    @once_differentiable
    def backward(ctx: _LayerContext, gradient_BO: Tensor) -> tuple[Tensor | None, ...]:
        (input_BI, weight_K), linear = ctx.saved_tensors, ctx.linear
        lists = linear.compressed
        input_IB, gradient_OB = input_BI.t(), gradient_BO.t()
        if linear.wants_dense_gradient:
            _keep_dense_gradient(linear, gradient_OB, input_IB)
        outputs, inputs = lists.shape
        weight_gradient = torch.cat(
            [
                (gradient_OB.index_select(0, rows) * input_IB.index_select(0, columns)).sum(1)
                for rows, columns in _portions(lists.links, input_BI.shape[0])
            ]
        )
        if not ctx.needs_input_grad[0]:
            return None, None, weight_gradient
        by_column = _compressed(lists.column_starts, lists.rows_K, weight_K[lists.order_K.long()], (inputs, outputs))
        return (by_column @ gradient_OB).t(), None, weight_gradient


def _portions(links: Links, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows, columns) of the links, in portions for which at most GATHERED elements are gathered."""
    portion = max(1, GATHERED // max(batch, 1))
    return zip(links.rows_K.split(portion), links.columns_K.split(portion), strict=True)


def _compressed(starts: Tensor, places: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse .* support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(starts, places, values, shape, check_invariants=False)
