"""The smoothed loss: torch's numbers, torch's gradients, less memory."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from chtexp.tasks.smoothed_loss import smoothed_loss_sum

PAD = 2


def some(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits and targets, about one in three padding."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(*shape, generator=generator)
    target = torch.randint(0, shape[-1], shape[:-1], generator=generator)
    target[torch.rand(shape[:-1], generator=generator) < 0.3] = PAD
    return logits.to(dtype).requires_grad_(), target


def test_by_hand() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()[None].requires_grad_()
    smoothed, plain, tokens = smoothed_loss_sum(logits, torch.tensor([[1]]), PAD, 0.2)
    assert plain.item() == pytest.approx(2 * math.log(2))
    assert smoothed.item() == pytest.approx((0.8 * 2 + 0.05 * (1 + 2 + 3 + 3)) * math.log(2))
    assert tokens.item() == 1
    smoothed.backward()
    assert logits.grad.flatten().tolist() == pytest.approx([0.5 - 0.05, 0.25 - 0.85, 0.125 - 0.05, 0.125 - 0.05])


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(3, 40)),
    st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    st.integers(0, 99),
)
def test_it_is_torchs_cross_entropy_with_its_gradient(shape: tuple[int, ...], smoothing: float, seed: int) -> None:
    logits, target = some(*shape, seed=seed, dtype=torch.float64)
    smoothed, plain, tokens = smoothed_loss_sum(logits, target, PAD, smoothing)
    (0.7 * smoothed).backward()
    theirs = logits.detach().clone().requires_grad_()
    flat = (theirs.flatten(0, 1), target.flatten())
    wanted = cross_entropy(*flat, ignore_index=PAD, label_smoothing=smoothing, reduction="sum")
    (0.7 * wanted).backward()
    torch.testing.assert_close(smoothed, wanted)
    torch.testing.assert_close(plain, cross_entropy(*flat, ignore_index=PAD, reduction="sum"))
    torch.testing.assert_close(logits.grad, theirs.grad)
    assert tokens.item() == int((target != PAD).sum())


def test_extreme_logits_stay_finite_and_padding_counts_nowhere() -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0], [5.0, 1.0, 2.0]]], requires_grad=True)
    smoothed, plain, tokens = smoothed_loss_sum(logits, torch.tensor([[1, PAD]]), PAD, 0.1)
    smoothed.backward()
    assert plain.item() == pytest.approx(2e4)
    assert tokens.item() == 1
    assert bool(logits.grad.isfinite().all())
    assert not logits.grad[0, 1].any()


def test_half_precision_is_computed_in_float32() -> None:
    logits, target = some(4, 8, 300, dtype=torch.bfloat16)
    smoothed, plain, _ = smoothed_loss_sum(logits, target, PAD, 0.1)
    smoothed.backward()
    wide = logits.detach().float().requires_grad_()
    wanted, plain_wanted, _ = smoothed_loss_sum(wide, target, PAD, 0.1)
    wanted.backward()
    assert (smoothed.dtype, logits.grad.dtype) == (torch.float32, torch.bfloat16)
    assert (smoothed.item(), plain.item()) == (wanted.item(), plain_wanted.item())
    assert torch.equal(logits.grad, wide.grad.bfloat16())


def test_one_backward_pass_and_no_more() -> None:
    logits, target = some(2, 3, 5)
    smoothed, plain, tokens = smoothed_loss_sum(logits, target, PAD, 0.1)
    assert not plain.requires_grad
    assert not tokens.requires_grad
    smoothed.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        smoothed.backward()


class _Watch(TorchDispatchMode):
    """Counts fresh tensors of a size, and looks at values."""

    def __init__(self, numel: int) -> None:
        super().__init__()
        self.numel, self.made, self.reads, self.seen = numel, 0, 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.reads += "_local_scalar_dense" in str(func)
        if isinstance(result, Tensor) and result.numel() == self.numel:
            storage = result.untyped_storage().data_ptr()
            if storage not in self.seen:
                self.seen.append(storage)
                self.made += 1
        return result


def test_it_makes_one_tensor_of_the_size_of_the_logits_and_reads_nothing_back() -> None:
    logits, target = some(4, 8, 100)
    with _Watch(logits.numel()) as watch:
        kept = smoothed_loss_sum(logits, target, PAD, 0.1)
        kept[0].backward()
    assert (watch.made, watch.reads) == (1, 0)
