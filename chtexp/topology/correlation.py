"""Correlated Sparse Topological Initialisation: link what correlates in the data (arXiv:2501.19107).

Shape legend: O outputs (rows, side U), I inputs (columns, side V), N samples, F features, B features of one
block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chtexp.errors import UserError

_SAMPLES_AT_ONCE = 8192
_FEATURES_AT_ONCE = 512


@torch.no_grad()
def feature_correlation(features_NF: Tensor) -> Tensor:
    """Absolute Pearson correlation between the features, over the samples (arXiv:2501.19107, CSTI).

    Features are first brought to the range 0..1, which no correlation notices: float32 then serves whatever
    their offset. Products are taken in blocks of samples and of features, and only above the diagonal: the
    result is exactly symmetric.

    Args:
        features_NF: [N, F] finite numbers of any type, at least two samples.

    Returns:
        [F, F] float32 in [0, 1] on the features' device; 0 on the diagonal and wherever a feature is constant
        (undefined).

    Raises:
        UserError: not two-dimensional, fewer than two samples, no feature, NaN or infinite values.
    """
    if features_NF.dim() != 2 or features_NF.shape[0] < 2 or features_NF.shape[1] < 1:
        raise UserError(f"features must be [N >= 2, F >= 1], got shape {list(features_NF.shape)}")
    precision = torch.promote_types(features_NF.dtype, torch.float32)
    low_F, high_F = features_NF.amin(0).to(precision), features_NF.amax(0).to(precision)
    if not bool((low_F.isfinite() & high_F.isfinite()).all()):
        raise UserError("features hold NaN or infinite values; allowed: finite numbers")
    per_range_F = torch.where(high_F > low_F, 1 / (high_F - low_F), 0)

    def unit_range(chunk_NF: Tensor) -> Tensor:
        return (chunk_NF.to(precision) - low_F).mul_(per_range_F).float()

    chunks = features_NF.split(_SAMPLES_AT_ONCE)
    mean_F = torch.stack([unit_range(chunk_NF).sum(0) for chunk_NF in chunks]).sum(0) / features_NF.shape[0]
    products_FF = torch.zeros(features_NF.shape[1], features_NF.shape[1], device=features_NF.device)
    for chunk_NF in chunks:
        centred_NF = unit_range(chunk_NF).sub_(mean_F)
        for first in range(0, features_NF.shape[1], _FEATURES_AT_ONCE):
            block = slice(first, first + _FEATURES_AT_ONCE)
            products_FF[block, first:].addmm_(centred_NF[:, block].T, centred_NF[:, first:])
    per_norm_F = torch.where(high_F > low_F, products_FF.diagonal().rsqrt(), 0)
    upper_FF = (products_FF * per_norm_F * per_norm_F[:, None]).triu_(1)
    return (upper_FF + upper_FF.T).abs_().clamp_max_(1)


def csti(
    out_features: int,
    in_features: int,
    links: int,
    generator: torch.Generator,
    *,
    correlation: Tensor,
) -> Tensor:
    """Correlated Sparse Topological Initialisation (arXiv:2501.19107).

    The correlation matrix is tiled to [O, I], pair (o, i) getting the entry (o mod F, i mod F), and the
    largest entries become links. [choice] A deeper layer, which does not see the input, may use the same
    tiled matrix.

    Args:
        out_features: O.
        in_features: I.
        links: the budget, at most O * I.
        generator: nothing is random here; the mask lives on its device.
        correlation: [F, F] finite, as returned by `feature_correlation`.

    Returns:
        [O, I] bool with exactly `links` True; entries that tie at the cut are taken in row-major order.

    Raises:
        UserError: correlation is not a square matrix of finite numbers.
    """
    shape = list(correlation.shape) if isinstance(correlation, Tensor) else type(correlation).__name__
    if not isinstance(correlation, Tensor) or correlation.dim() != 2 or len(set(correlation.shape)) > 1:
        raise UserError(f"csti correlation must be a square tensor [F, F], got {shape}")
    if not bool(correlation.isfinite().all()):
        raise UserError("csti correlation holds NaN or infinite values; allowed: finite numbers")
    features = correlation.shape[0]
    row_O = torch.arange(out_features, device=correlation.device) % features
    column_I = torch.arange(in_features, device=correlation.device) % features
    tiled_OI = correlation[row_O[:, None], column_I]
    cut = tiled_OI.flatten().topk(links, sorted=False).values.min()
    mask_OI = tiled_OI > cut
    tied = (tiled_OI == cut).flatten().nonzero().squeeze(1)
    mask_OI.view(-1)[tied[: links - int(mask_OI.sum())]] = True
    return mask_OI.to(generator.device)
