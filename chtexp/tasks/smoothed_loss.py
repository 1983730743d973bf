"""Label-smoothed cross-entropy with one tensor of the logits' size (Szegedy et al. 2016; arXiv:2501.19107: smoothing 0.1).

Shapes: B batch, T target tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import log_softmax


def smoothed_loss_sum(
    logits_BTV: Tensor, target_BT: Tensor, pad_id: int, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum the label-smoothed cross-entropy over target tokens.

    The target distribution puts 1 - smoothing on the target and spreads smoothing evenly over all V entries, the target's and
    the padding's among them [choice: the paper says 0.1 and no more], as `torch.nn.functional.cross_entropy` does. Padding
    counts nowhere.

    The backward pass may run once: it turns the log-probabilities, the one tensor [B, T, V] that is made, into the gradient in
    place (torch's own makes three more). Sums are computed in float32, or in the logits' own type where that is wider. Nothing
    is read back from the device.

    Args:
        logits_BTV: [B, T, V] float.
        target_BT: [B, T] int64, token ids.
        pad_id: the token id of padding.
        smoothing: the weight of the uniform distribution, in [0, 1).

    Returns:
        Three scalars: the sum of smoothed losses in nats, the only one with a gradient; the sum of negative log-likelihoods in
        nats, without smoothing; the number of target tokens.
    """
    sums: tuple[Tensor, Tensor, Tensor] = _SmoothedLoss.apply(logits_BTV, target_BT, pad_id, smoothing)
    return sums


class _Context(Protocol):
    """What a forward pass leaves to its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    smoothing: float
    dtype: torch.dtype

    def save_for_backward(self, *tensors: Tensor) -> None: ...
    def mark_non_differentiable(self, *results: Tensor) -> None: ...


class _SmoothedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, logits_BTV: Tensor, target_BT: Tensor, pad_id: int, smoothing: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.promote_types(logits_BTV.dtype, torch.float32)
        log_p_BTV = log_softmax(logits_BTV, -1, dtype=wide)
        real_BT = target_BT != pad_id
        plain = -(log_p_BTV.gather(-1, target_BT[..., None])[..., 0] * real_BT).sum()
        even = -(log_p_BTV.mean(-1) * real_BT).sum()
        tokens = real_BT.sum()
        ctx.save_for_backward(log_p_BTV, target_BT, real_BT)
        ctx.smoothing, ctx.dtype = smoothing, logits_BTV.dtype
        ctx.mark_non_differentiable(plain, tokens)
        return torch.lerp(plain, even, smoothing), plain, tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, of_smoothed: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient with respect to a logit is its probability minus the target probability."""
        log_p_BTV, target_BT, real_BT = ctx.saved_tensors
        gradient_BTV = log_p_BTV.exp_().sub_(ctx.smoothing / log_p_BTV.shape[-1])
        target_BT1 = target_BT[..., None]
        gradient_BTV.scatter_add_(-1, target_BT1, gradient_BTV.new_tensor(ctx.smoothing - 1).expand(target_BT1.shape))
        gradient_BTV.mul_((of_smoothed * real_BT)[..., None])
        return gradient_BTV.to(ctx.dtype), None, None, None
