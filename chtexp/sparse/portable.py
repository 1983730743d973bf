"""The weights of a model alone, small on disk and without masks when read: for tests, translation and export.

Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from chtexp.sparse import bits
from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.links import Links
from chtexp.sparse.maps import Form, Native
from chtexp.sparse.wiring import plain_state


class SparseMatrix(Native):
    """A sparse weight, as a matrix.

    Attributes:
        shape: O and I.
        mask: uint8 [ceil(O * I / 8)], its links as bits.
        weight: [K], the weights of the links.
    """

    shape: list[int]
    mask: Tensor
    weight: Tensor


class PortableWeights(TypedDict):
    """All parameters and buffers of a model.

    Attributes:
        dense: those that are not sparse, by name.
        sparse: the sparse weights, by name.
    """

    dense: dict[str, Tensor]
    sparse: dict[str, SparseMatrix]


def portable_weights(sparsity: DynamicSparsity) -> PortableWeights:
    """Copy all parameters and buffers of a model; of sparse weights, the links alone.

    Args:
        sparsity: of the model.

    Returns:
        The copy.
    """
    sparse = {f"{layer.name}.weight": layer for layer in sparsity.layers}
    return {
        "dense": {
            name: value.detach().clone() for name, value in plain_state(sparsity.model).items() if name not in sparse
        },
        "sparse": {
            name: {
                "shape": list(layer.shape),
                "mask": layer.links.bits(),
                "weight": layer.state().weight_K.clone(),
                **layer.form.saved(),
            }
            for name, layer in sparse.items()
        },
    }


def dense_weights(portable: PortableWeights) -> dict[str, Tensor]:
    """Make the state dict of a plain model, in which absent links are zeros in ordinary matrices.

    Args:
        portable: what `portable_weights` returned.

    Returns:
        Tensors by name.
    """
    found = dict(portable["dense"])
    for name, saved in portable["sparse"].items():
        form = Form.restored(saved["shape"], saved.get("native"))
        found[name] = torch.empty(form.native, dtype=saved["weight"].dtype, device=saved["weight"].device)
        form.write(found[name], Links.of_mask(bits.unpack(saved["mask"], form.shape)), saved["weight"])
    return found
