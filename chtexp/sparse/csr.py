"""Sparse execution: linear maps that hold only their links, and compute with nothing else (arXiv:2501.19107 on a CPU).

`CsrLinear` is an `nn.Linear` whose weight is the vector [K] of its links' values. Its output is feature-major in memory (a
transposed view), which elementwise modules keep and the next `CsrLinear` wants: no copy between layers. Inside an
`nn.Sequential`, linear maps and ReLUs that follow each other run as one node of the autograd graph (`CsrSequential`).

float32 on the CPU runs on compiled kernels; everything else on torch's own products with compressed rows.

Shapes: O outputs, I inputs, B batch (all leading dimensions), K links.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from chtexp.sparse import kernels
from chtexp.sparse.links import Compressed, Links
from chtexp.topology.compiled import kernel_threads

Array = Any  # a float32 numpy array

SERIAL_BELOW = 1 << 18  # multiply-adds of a product: below, waking threads costs more than they save
SMALL_DENSE = (
    1 << 15
)  # pairs: up to here the kernels are as fast as torch on a dense map, and also take its ReLU and bias
TILE = 200  # rows at a time where nothing is learned: activations stay in the cache (66 against 124 ms for MNIST's test set)
GATHERED = 1 << 24  # elements that torch's path gathers at a time for the gradient of the links


class CsrLinear(nn.Linear):
    """y = x W^T + b, where `weight` [K] holds the values of the links of W, in row-major order.

    Made of an `nn.Linear` in place by `execute_links`, and made one again by `execute_dense`.
    wants_dense_gradient: the next backward pass also leaves the gradient of all pairs in `dense_gradient_OI`.
    """

    compressed: Compressed
    wants_dense_gradient: bool
    dense_gradient_OI: Tensor | None

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., I] to [..., O]."""
        return linear_chain((Step(self, False),), inputs)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, links={len(self.compressed.links)}"


class CsrSequential(nn.Sequential):
    """An `nn.Sequential` that runs each run of linear maps and ReLUs with a `CsrLinear` among them as one."""

    def forward(self, inputs: Any) -> Any:
        modules = list(self)
        position = 0
        while position < len(modules):
            run, after = _run(modules, position)
            if run:
                inputs = linear_chain(run, inputs)
            else:
                inputs = modules[position](inputs)
                after = position + 1
            position = after
        return inputs


class Step(NamedTuple):
    """One linear map of a chain, and whether a ReLU follows it."""

    linear: nn.Linear
    relu: bool


def execute_links(linear: nn.Linear, links: Links, weight_K: Tensor) -> None:
    """Make `linear` a `CsrLinear` with these links; the module and its parameters stay the same objects."""
    linear.__class__ = CsrLinear
    assert isinstance(linear, CsrLinear)
    linear.compressed = Compressed(links)
    linear.wants_dense_gradient, linear.dense_gradient_OI = False, None
    linear.weight.grad = None
    linear.weight.data = weight_K


def execute_dense(linear: nn.Linear, weight_OI: Tensor) -> None:
    """Make `linear` an ordinary `nn.Linear` with this weight."""
    for name in ("compressed", "wants_dense_gradient", "dense_gradient_OI"):
        linear.__dict__.pop(name, None)
    linear.__class__ = nn.Linear
    linear.weight.grad = None
    linear.weight.data = weight_OI


def arrange_sequentials(model: nn.Module) -> None:
    """Let every plain `nn.Sequential` with a `CsrLinear` directly inside run its chains as one, and only those."""
    for module in model.modules():
        if type(module) in (nn.Sequential, CsrSequential):
            has_links = any(isinstance(child, CsrLinear) for child in module.children())
            module.__class__ = CsrSequential if has_links else nn.Sequential


def _run(modules: Sequence[nn.Module | None], first: int) -> tuple[tuple[Step, ...], int]:
    """The longest chain from position `first` that can run as one, and where it ends; empty if there is none."""
    run: list[Step] = []
    position = first
    while position < len(modules):
        linear = modules[position]
        if type(linear) not in (nn.Linear, CsrLinear) or _hooked(linear):
            break
        follower = modules[position + 1] if position + 1 < len(modules) else None
        relu = type(follower) is nn.ReLU and not _hooked(follower)
        run.append(Step(linear, relu))  # type: ignore[arg-type]
        position += 1 + relu
        if not relu and isinstance(follower, nn.ReLU):
            break
    return (tuple(run), position) if any(type(step.linear) is CsrLinear for step in run) else ((), first)


def _hooked(module: Any) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def linear_chain(steps: Sequence[Step], inputs: Tensor) -> Tensor:
    """Apply linear maps, each with its ReLU, one after the other: [..., I] to [..., O]."""
    weight = steps[0].linear.weight
    if inputs.dim() == 2 and inputs.shape[0] > TILE and len(steps) > 1 and not torch.is_grad_enabled():
        return torch.cat([linear_chain(steps, part) for part in inputs.split(TILE)])
    inputs_BI = inputs.reshape(-1, steps[0].linear.in_features).to(weight.dtype)
    if weight.dtype == torch.float32 and weight.device.type == "cpu":
        parameters = [parameter for step in steps for parameter in (step.linear.weight, step.linear.bias)]
        output_BO = _FeatureMajor.apply(inputs_BI, steps, *parameters)
    else:
        output_BO = inputs_BI
        for linear, relu in steps:
            if isinstance(linear, CsrLinear):
                output_BO = _WithTorch.apply(output_BO, linear, linear.weight)
                output_BO = output_BO if linear.bias is None else output_BO + linear.bias
            else:
                output_BO = nn.functional.linear(output_BO, linear.weight, linear.bias)
            output_BO = output_BO.relu() if relu else output_BO
    return output_BO.unflatten(0, inputs.shape[:-1]) if inputs.dim() != 2 else output_BO


class _FeatureMajor(torch.autograd.Function):
    """A chain on compiled kernels (and torch's product for a large dense map in it), activations [features, batch].

    What only the chain can see travels as numpy arrays: making and unwrapping a tensor costs microseconds, of which a step
    of the MNIST MLP has a few hundred. What others can write to is saved as tensors, which torch guards.
    """

    @staticmethod
    def forward(ctx: Any, inputs_BI: Tensor, steps: Sequence[Step], *parameters: Tensor | None) -> Tensor:
        threads = kernel_threads()
        values = [_array(parameter) for parameter in parameters]
        activations = [_feature_major(inputs_BI)]
        for position, (linear, relu) in enumerate(steps):
            weight, bias = values[2 * position], values[2 * position + 1]
            activations.append(_forward(_lists(linear), weight, bias, relu, activations[-1], threads))
        output_BO = torch.from_numpy(activations[-1]).t()
        ctx.save_for_backward(inputs_BI, output_BO if steps[-1].relu else None, *parameters[::2])
        ctx.steps, ctx.activations, ctx.weights = steps, activations, values[::2]
        return output_BO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BO: Tensor) -> tuple[Tensor | None, ...]:
        steps: Sequence[Step] = ctx.steps
        activations: list[Array] = ctx.activations
        _ = ctx.saved_tensors  # an error if one of them was written to since
        threads = kernel_threads()
        gradient = _feature_major(gradient_BO)
        if steps[-1].relu:
            gradient = np.where(activations[-1] <= 0, np.float32(0), gradient)
        sums = gradient.sum(1)
        gradients: list[Tensor | None] = []
        for position in range(len(steps) - 1, -1, -1):
            linear, weight, activation = steps[position].linear, ctx.weights[position], activations[position]
            if isinstance(linear, CsrLinear) and linear.wants_dense_gradient:
                _keep_dense_gradient(linear, torch.from_numpy(gradient), torch.from_numpy(activation))
            gradients.append(None if linear.bias is None else torch.from_numpy(sums))
            wanted = position > 0 or ctx.needs_input_grad[0]
            relu = position > 0 and steps[position - 1].relu
            of_weight, gradient, sums = _backward(_lists(linear), weight, activation, gradient, relu, wanted, threads)
            gradients.append(torch.from_numpy(of_weight))
        of_input = torch.from_numpy(gradient).t() if ctx.needs_input_grad[0] else None
        return (of_input, None, *reversed(gradients))


def _forward(lists: Compressed | None, weight: Array, bias: Array, relu: bool, input_IB: Array, threads: int) -> Array:
    if lists is None:
        matrix, inputs = torch.from_numpy(weight), torch.from_numpy(input_IB)
        output_OB = torch.addmm(torch.from_numpy(bias)[:, None], matrix, inputs) if bias.size else matrix @ inputs
        return (output_OB.relu_() if relu else output_OB).numpy()
    output = np.empty((lists.links.shape[0], input_IB.shape[1]), np.float32)
    parallel = threads > 1 and weight.size * input_IB.shape[1] >= SERIAL_BELOW
    kernel = kernels.forward_parallel if parallel else kernels.forward_serial
    kernel(threads, *lists.by_row, weight.reshape(-1), bias, input_IB, relu, output)
    return output


def _backward(
    lists: Compressed | None, weight: Array, input_IB: Array, gradient_OB: Array, relu: bool, wanted: bool, threads: int
) -> tuple[Array, Array, Array]:
    """Gradients of the weight and (if `wanted`) of the input, through the ReLU that made it, and the latter's row sums."""
    if lists is None:
        inputs, gradients = torch.from_numpy(input_IB), torch.from_numpy(gradient_OB)
        of_weight = (gradients @ inputs.t()).numpy()
        if not wanted:
            return of_weight, gradient_OB, gradient_OB
        of_input = torch.from_numpy(weight).t() @ gradients
        if relu:
            of_input = torch.ops.aten.threshold_backward(of_input, inputs, 0)
        return of_weight, of_input.numpy(), of_input.sum(1).numpy()
    parallel = threads > 1 and weight.size * input_IB.shape[1] >= SERIAL_BELOW
    of_weight = np.empty(weight.shape, np.float32)
    if not wanted:
        gradients_alone = kernels.gradient_parallel if parallel else kernels.gradient_serial
        gradients_alone(threads, *lists.by_column, input_IB, gradient_OB, of_weight.reshape(-1))
        return of_weight, gradient_OB, gradient_OB
    of_input, sums = np.empty_like(input_IB), np.empty(input_IB.shape[0], np.float32)
    kernel = kernels.backward_parallel if parallel else kernels.backward_serial
    flat = weight.reshape(-1), of_weight.reshape(-1)
    kernel(threads, *lists.by_column, flat[0], input_IB, relu, gradient_OB, flat[1], of_input, sums)
    return of_weight, of_input, sums


def _lists(linear: nn.Linear) -> Compressed | None:
    """What the kernels walk along: the links, or all pairs of a small dense map; None: torch multiplies."""
    if isinstance(linear, CsrLinear):
        return linear.compressed
    pairs = linear.in_features * linear.out_features
    return _all_pairs(linear.out_features, linear.in_features) if pairs <= SMALL_DENSE else None


@lru_cache(maxsize=16)
def _all_pairs(outputs: int, inputs: int) -> Compressed:
    return Compressed(Links.all_pairs((outputs, inputs), torch.device("cpu")))


_NO_BIAS = np.empty(0, np.float32)


def _array(parameter: Tensor | None) -> Array:
    return _NO_BIAS if parameter is None else parameter.detach().numpy()


def _feature_major(tensor_BF: Tensor) -> Array:
    """[F, B], contiguous: the same memory where another chain made it, a copy where not."""
    transposed_FB = tensor_BF.detach().numpy().T
    return transposed_FB if transposed_FB.flags.c_contiguous else kernels.transpose(transposed_FB)


def _keep_dense_gradient(linear: CsrLinear, gradient_OB: Tensor, input_IB: Tensor) -> None:
    """The gradient of all pairs, added up over the backward passes since the gradients were last cleared."""
    gradient_OI = gradient_OB @ input_IB.t()
    fresh = linear.weight.grad is None or not bool(linear.weight.grad.any())
    if fresh or linear.dense_gradient_OI is None:
        linear.dense_gradient_OI = gradient_OI
    else:
        linear.dense_gradient_OI += gradient_OI


class _WithTorch(torch.autograd.Function):
    """One product with torch's own operations, for any device and type."""

    @staticmethod
    def forward(ctx: Any, input_BI: Tensor, linear: CsrLinear, weight_K: Tensor) -> Tensor:
        ctx.save_for_backward(input_BI, weight_K)
        ctx.linear = linear
        lists = linear.compressed
        return (_compressed(lists.row_starts, lists.columns_K, weight_K, lists.links.shape) @ input_BI.t()).t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BO: Tensor) -> tuple[Tensor | None, ...]:
        input_BI, weight_K = ctx.saved_tensors
        linear: CsrLinear = ctx.linear
        lists = linear.compressed
        input_IB, gradient_OB = input_BI.t(), gradient_BO.t()
        if linear.wants_dense_gradient:
            _keep_dense_gradient(linear, gradient_OB, input_IB)
        outputs, inputs = lists.links.shape
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


def _portions(links: Links, batch: int) -> Any:
    """(rows, columns) of the links, so many at a time that no more than GATHERED elements are gathered."""
    portion = max(1, GATHERED // max(batch, 1))
    return zip(links.rows_K.split(portion), links.columns_K.split(portion), strict=True)


def _compressed(starts: Tensor, places: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse .* support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(starts, places, values, shape, check_invariants=False)
